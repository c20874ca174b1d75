#include "residua/recipes/traced_network.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <filesystem>

#include "residua/core/error.h"
#include "residua/core/log.h"
#include "residua/data/text/corpus.h"
#include "residua/nn/state.h"
#include "residua/recipes/trained_model.h"
#include "residua/train/checkpoint_store.h"

namespace residua {

namespace {

struct LoadedNetwork {
  std::shared_ptr<Model> model;
  std::optional<TrainedModel> trained;  // where data are known
};

// Settings of the data, the others being the model's.
bool is_of_data(const std::string& key) { return key == "data" || key == "augment"; }

Json model_settings(const TracedNetworkOptions& options) {
  Json model = Json::object();
  for (const auto& [key, value] : options.settings.items())
    if (!is_of_data(key)) model[key] = value;
  return model;
}

// As TrainOptions have them.
Json train_settings(const TracedNetworkOptions& options) {
  Json settings = Json::object();
  for (const auto& [key, value] : options.settings.items())
    if (is_of_data(key)) settings[key] = value;
  Json model = model_settings(options);
  if (!options.model.empty()) model["name"] = options.model;
  if (!model.empty()) settings["model"] = model;
  return settings;
}

LoadedNetwork load_network(const TracedNetworkOptions& options) {
  const bool is_checkpoint = !options.weights.empty() && find_checkpoint(options.weights);
  if (options.model.empty() && !is_checkpoint)
    throw Error(ErrorKind::invalid_argument, {.where = options.weights,
                                              .rule = "does not say which model it belongs to",
                                              .expected = "the name of a model",
                                              .hint = "`residua list` names them"});
  LoadedNetwork loaded;
  if (is_checkpoint || (!options.weights.empty() && options.settings.contains("data"))) {
    loaded.trained = load_trained({.weights = options.weights, .open_data = options.samples > 0},
                                  train_settings(options));
    loaded.model = loaded.trained->model;
    return loaded;
  }
  loaded.model =
      models().create(models().resolve({options.model, model_settings(options)}), Random(0));
  if (options.weights.empty())
    log_message(LogLevel::warning,
                fmt::format("{}: its weights are random, because none were named", options.model));
  else
    load_weights(*loaded.model, *open_tensor_file(options.weights),
                 {.ignore = checkpoint_extra_names()});
  return loaded;
}

std::optional<ImagePreprocessing> preprocessing_of_model(const LoadedNetwork& loaded) {
  const ModelInfo& info = loaded.model->info();
  if (info.takes_tokens()) return std::nullopt;
  if (loaded.trained) return prediction_images(*loaded.trained);
  if (info.weights.empty()) return std::nullopt;
  const WeightsInfo& published = info.weights.front();
  return ImagePreprocessing{.height = published.input_size,
                            .width = published.input_size,
                            .crop_fraction = published.crop_fraction,
                            .mean = published.mean,
                            .stddev = published.stddev};
}

TensorData owned_tensor(const at::Tensor& tensor, DType dtype) {
  auto data = std::make_shared<at::Tensor>(tensor.contiguous());
  return {.info = {"x", dtype, data->sizes().vec()},
          .owner = data,
          .bytes = {static_cast<const std::byte*>(data->data_ptr()), data->nbytes()}};
}

// Spread evenly over the training images.
std::vector<CalibrationSample> image_samples(const TrainedModel& trained, int64_t wanted) {
  const Pipeline pipeline = prediction_pipeline(trained);
  const Dataset& images = *trained.data->train;
  Pipeline::Scratch scratch;
  std::vector<CalibrationSample> samples;
  const int64_t count = std::min(wanted, images.size());
  for (int64_t i = 0; i < count; ++i) {
    at::Tensor x = at::empty({1, pipeline.channels(), pipeline.height(), pipeline.width()});
    pipeline.load(images, i * images.size() / count, Random(0),
                  {x.data_ptr<float>(), static_cast<size_t>(x.numel())},
                  PixelLayout::channels_first, scratch);
    samples.push_back({owned_tensor(x, DType::f32)});
  }
  return samples;
}

std::vector<CalibrationSample> text_samples(const TextCorpus& text, int64_t tokens,
                                            int64_t wanted) {
  const auto windows = static_cast<int64_t>(text.train.size()) / tokens;
  std::vector<CalibrationSample> samples;
  const int64_t count = std::min(wanted, windows);
  for (int64_t i = 0; i < count; ++i) {
    at::Tensor x = at::empty({1, tokens}, at::kLong);
    const auto begin = text.train.begin() + (i * windows / count) * tokens;
    std::copy(begin, begin + tokens, x.data_ptr<int64_t>());
    samples.push_back({owned_tensor(x, DType::i64)});
  }
  return samples;
}

std::vector<CalibrationSample> samples_of(const LoadedNetwork& loaded, const Graph& graph,
                                          int64_t wanted) {
  if (!loaded.trained || !loaded.trained->data)
    throw Error(ErrorKind::invalid_argument,
                {.where = "samples",
                 .rule = "no data are known to take them from",
                 .expected = "a checkpoint, which knows its data, or data=NAME",
                 .hint = "--images names images instead"});
  const TrainedModel& trained = *loaded.trained;
  return trained.data->text
             ? text_samples(*trained.data->text, graph.shape(graph.inputs.front())[1], wanted)
             : image_samples(trained, wanted);
}

}  // namespace

TracedNetwork trace_network(const TracedNetworkOptions& options) {
  const LoadedNetwork loaded = load_network(options);
  PlanInfo info;
  info.images = preprocessing_of_model(loaded);
  if (loaded.trained) info.labels = loaded.trained->info.classes;
  info.model = options.model.empty() ? loaded.trained->options.model.name : options.model;
  info.weights = std::filesystem::path(options.weights).filename();
  ModelGraphOptions graph = options.graph;
  if (info.images) {
    if (graph.height == 0) graph.height = info.images->height;
    if (graph.width == 0) graph.width = info.images->width;
    if (graph.height != info.images->height || graph.width != info.images->width) {
      info.images->height = graph.height;
      info.images->width = graph.width;
      info.images->resize = 0;  // the same part is cut out of another size
    }
  }
  TracedNetwork network{.file = {model_graph(*loaded.model, graph), std::move(info)}};
  if (options.samples > 0)
    network.samples = samples_of(loaded, network.file.graph, options.samples);
  return network;
}

}  // namespace residua
