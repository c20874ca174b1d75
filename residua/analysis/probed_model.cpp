#include "residua/analysis/probed_model.h"

#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/data/loader.h"
#include "residua/data/text/windows.h"
#include "residua/nn/state.h"
#include "residua/train/checkpoint_store.h"
#include "residua/train/tasks/classification.h"

namespace residua {

namespace {

// The first batches of an epoch, `samples` in all; 0: the whole.
std::vector<Batch> first_batches(BatchSource& source, int64_t samples) {
  source.start(0);
  std::vector<Batch> batches;
  int64_t left = samples == 0 ? source.samples() : samples;
  while (left > 0) {
    std::optional<Batch> batch = source.next();
    if (!batch) break;
    if (batch->size() > left) {
      batch->input = batch->input.slice(0, 0, left);
      batch->target = batch->target.slice(0, 0, left);
      batch->label = batch->label.slice(0, 0, left);
      batch->indices.resize(static_cast<size_t>(left));
    }
    left -= batch->size();
    batches.push_back(std::move(*batch));
  }
  return batches;
}

std::vector<Batch> first_image_batches(const std::shared_ptr<const Dataset>& dataset,
                                       const TrainOptions& options, int64_t images) {
  Pipeline pipeline(dataset->info(), options.augment, Phase::test);
  Loader loader(
      dataset, std::move(pipeline),
      {.batch_size = options.batch_size, .workers = 0, .channels_last = options.loop.channels_last},
      Random(0));
  return first_batches(loader, images);
}

[[noreturn]] void refuse_model(const std::string& probe, const std::string& rule,
                               const std::string& expected, const std::string& received) {
  throw Error(
      ErrorKind::unsupported,
      {.where = "probe " + probe, .rule = rule, .expected = expected, .received = received});
}

void load_probed_weights(Model& model, const std::string& path) {
  const LoadOptions options{.ignore = checkpoint_extra_names()};
  if (const auto found = find_checkpoint(path))
    load_weights(model, load_checkpoint(*found).evaluated_weights(), options);
  else
    load_weights(model, *open_tensor_file(path), options);
}

}  // namespace

std::vector<Batch> ProbedModel::test_batches(int64_t samples) const {
  if (!data->text) return first_image_batches(data->test, options, samples);
  WindowsInOrder windows(data->text, {options.batch_size, model->info().context});
  return first_batches(windows, samples);
}

std::vector<Batch> ProbedModel::train_batches(int64_t samples) const {
  if (!data->text) return first_image_batches(data->train, options, samples);
  RandomWindows windows(data->text, {options.batch_size, model->info().context}, Random(0));
  return first_batches(windows, samples);
}

StreamModel& ProbedModel::stream(const std::string& probe) const {
  if (auto* stream = dynamic_cast<StreamModel*>(model.get())) return *stream;
  refuse_model(probe, "looks at residual streams", "a model with the option `connection`",
               options.model.name);
}

Gpt& ProbedModel::gpt(const std::string& probe) const {
  if (auto* gpt = dynamic_cast<Gpt*>(model.get())) return *gpt;
  refuse_model(probe, "looks at language models", "a GPT", options.model.name);
}

ProbedModel open_probed(const ProbeContext& context, const std::string& probe,
                        const std::function<void(Json&)>& change) {
  if (context.weights.empty())
    throw Error(ErrorKind::invalid_argument, {.where = "probe " + probe,
                                              .rule = "looks at a trained model",
                                              .expected = "of = \"JOB\", a job of kind train"});
  ProbedModel probed;
  assign(probed.options, context.configuration, "configuration");
  Json data = probed.options.data.options_or_empty();
  data.erase("skip_corrupt");  // the loader's, not the dataset's
  probed.data = datasets().create({probed.options.data.name, data});
  if (change) {
    Json options = probed.options.model.options_or_empty();
    change(options);
    probed.options.model = Component(probed.options.model.name, options);
  }
  probed.model = models().create(probed.options.model, Random(0));
  load_probed_weights(*probed.model, context.weights);
  probed.model->eval();
  return probed;
}

at::Tensor output_loss(const at::Tensor& logits, const at::Tensor& target) {
  if (logits.dim() == 3) return soft_cross_entropy(logits.flatten(0, 1), target.flatten(), 0);
  return soft_cross_entropy(logits, target, 0);
}

double top1_of(Model& model, const std::vector<Batch>& batches) {
  const at::NoGradGuard no_grad;
  double right = 0, all = 0;
  for (const Batch& batch : batches) {
    const auto size = static_cast<double>(batch.size());
    const at::Tensor logits = model.forward(batch.input);
    right +=
        size * (logits.dim() == 3 ? top_k_accuracy(logits.flatten(0, 1), batch.label.flatten(), 1)
                                  : top_k_accuracy(logits, batch.label, 1));
    all += size;
  }
  return right / all;
}

}  // namespace residua
