#pragma once
// The trained image classifier that a probe looks at, and images to show it.

#include <memory>
#include <string>
#include <vector>

#include "residua/analysis/probe.h"
#include "residua/data/dataset.h"
#include "residua/data/loader.h"
#include "residua/models/model.h"
#include "residua/models/stream_model.h"
#include "residua/train/options.h"

namespace residua {

struct ProbedModel {
  TrainOptions options;          // of its training
  std::shared_ptr<Model> model;  // in evaluation mode, on the CPU
  std::shared_ptr<DataSplits> data;

  // At most `images` of the test images (0: all), prepared as in evaluation.
  std::vector<Batch> test_batches(int64_t images) const;
  // The same of the training images.
  std::vector<Batch> train_batches(int64_t images) const;
  // Throws ErrorKind::unsupported, naming the probe, unless the model has a residual stream.
  StreamModel& stream(const std::string& probe) const;
};

// Throws ErrorKind::invalid_argument, naming the probe, when the context names no weights.
ProbedModel open_probed(const ProbeContext& context, const std::string& probe);

// Part of the samples whose largest logit is at the label.
double top1_of(Model& model, const std::vector<Batch>& batches);

}  // namespace residua
