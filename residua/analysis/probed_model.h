#pragma once
// The trained model that a probe looks at, and images or text to show it.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "residua/analysis/probe.h"
#include "residua/data/batch_source.h"
#include "residua/data/dataset.h"
#include "residua/models/language/gpt.h"
#include "residua/models/model.h"
#include "residua/models/stream_model.h"
#include "residua/train/options.h"

namespace residua {

struct ProbedModel {
  TrainOptions options;          // of its training
  std::shared_ptr<Model> model;  // in evaluation mode, on the CPU
  std::shared_ptr<DataSplits> data;

  // At most `samples` of the test images, or of the windows of the validation text in order (0:
  // all), prepared as in evaluation.
  std::vector<Batch> test_batches(int64_t samples) const;
  // The same of the training images; of text random windows (0: an epoch).
  std::vector<Batch> train_batches(int64_t samples) const;
  // Throws ErrorKind::unsupported, naming the probe, unless the model has a residual stream.
  StreamModel& stream(const std::string& probe) const;
  // The same unless it is a GPT.
  Gpt& gpt(const std::string& probe) const;
};

// `change`, where given, alters the model's options before it is made, though not its parameters.
// Throws ErrorKind::invalid_argument, naming the probe, when the context names no weights.
ProbedModel open_probed(const ProbeContext& context, const std::string& probe,
                        const std::function<void(Json& model_options)>& change = {});

// Mean cross entropy of logits [N, classes] or [N, T, vocabulary].
at::Tensor output_loss(const at::Tensor& logits, const at::Tensor& target);
// Part of the samples, or tokens, whose largest logit is at the label.
double top1_of(Model& model, const std::vector<Batch>& batches);

}  // namespace residua
