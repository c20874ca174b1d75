#include "residua/analysis/probed_model.h"

#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/nn/state.h"
#include "residua/train/checkpoint_store.h"
#include "residua/train/tasks/classification.h"

namespace residua {

namespace {

std::vector<Batch> first_prepared_batches(const std::shared_ptr<const Dataset>& dataset,
                                          const TrainOptions& options, int64_t images) {
  Pipeline pipeline(dataset->info(), options.augment, Phase::test);
  Loader loader(
      dataset, std::move(pipeline),
      {.batch_size = options.batch_size, .workers = 0, .channels_last = options.loop.channels_last},
      Random(0));
  loader.start(0);
  std::vector<Batch> batches;
  int64_t left = images == 0 ? dataset->size() : images;
  while (left > 0) {
    std::optional<Batch> batch = loader.next();
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

void load_probed_weights(Model& model, const std::string& path) {
  const LoadOptions options{.ignore = checkpoint_extra_names()};
  if (const auto found = find_checkpoint(path))
    load_weights(model, load_checkpoint(*found).evaluated_weights(), options);
  else
    load_weights(model, *open_tensor_file(path), options);
}

}  // namespace

std::vector<Batch> ProbedModel::test_batches(int64_t images) const {
  return first_prepared_batches(data->test, options, images);
}

std::vector<Batch> ProbedModel::train_batches(int64_t images) const {
  return first_prepared_batches(data->train, options, images);
}

StreamModel& ProbedModel::stream(const std::string& probe) const {
  if (auto* stream = dynamic_cast<StreamModel*>(model.get())) return *stream;
  throw Error(ErrorKind::unsupported, {.where = "probe " + probe,
                                       .rule = "looks at residual streams",
                                       .expected = "a model with the option `connection`",
                                       .received = options.model.name});
}

ProbedModel open_probed(const ProbeContext& context, const std::string& probe) {
  if (context.weights.empty())
    throw Error(ErrorKind::invalid_argument, {.where = "probe " + probe,
                                              .rule = "looks at a trained model",
                                              .expected = "of = \"JOB\", a job of kind train"});
  ProbedModel probed;
  assign(probed.options, context.configuration, "configuration");
  Json data = probed.options.data.options_or_empty();
  data.erase("skip_corrupt");  // the loader's, not the dataset's
  probed.data = datasets().create({probed.options.data.name, data});
  probed.model = models().create(probed.options.model, Random(0));
  load_probed_weights(*probed.model, context.weights);
  probed.model->eval();
  return probed;
}

double top1_of(Model& model, const std::vector<Batch>& batches) {
  const at::NoGradGuard no_grad;
  double right = 0, all = 0;
  for (const Batch& batch : batches) {
    const auto size = static_cast<double>(batch.size());
    right += size * top_k_accuracy(model.forward(batch.input), batch.label, 1);
    all += size;
  }
  return right / all;
}

}  // namespace residua
