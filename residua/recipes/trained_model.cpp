#include "residua/recipes/trained_model.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>
#include <filesystem>

#include "residua/core/error.h"
#include "residua/recipes/image_parts.h"
#include "residua/recipes/text_parts.h"
#include "residua/train/checkpoint_store.h"
#include "residua/train/device.h"

namespace residua {

namespace {

void load_and_place(TrainedModel& trained, const TensorFile& file) {
  load_weights(*trained.model, file, {.ignore = checkpoint_extra_names()});
  const LoopOptions& loop = trained.options.loop;
  place_module(*trained.model, parse_device(loop.device), loop.channels_last);
  trained.model->eval();
}

std::string model_name(const Json& overrides) {
  if (!overrides.contains("model")) return {};
  const Json& model = overrides.at("model");
  return model.is_object()   ? model.value("name", std::string())
         : model.is_string() ? model.get<std::string>()
                             : std::string();
}

TrainedModel from_checkpoint(const std::string& path, const Json& overrides, bool data_wanted) {
  const Checkpoint checkpoint = load_checkpoint(path);
  Json configuration = checkpoint.configuration();
  const std::string saved = configuration.at("model").at("name"), asked = model_name(overrides);
  if (!asked.empty() && asked != saved)
    throw Error(ErrorKind::invalid_argument, {.where = path,
                                              .rule = "is a checkpoint of another model",
                                              .expected = asked,
                                              .received = saved});
  merge(configuration, overrides);
  TrainedModel trained{.weights = checkpoint.evaluated_weights().path(),
                       .options = resolve_options(configuration),
                       .model = {},
                       .info = {},
                       .data = {}};
  const Json& data_info = checkpoint.manifest.at("data");
  if (data_info.contains("tokenizer"))
    trained.tokenizer = stored_tokenizer(data_info);
  else
    trained.info = dataset_info_from_json(data_info);
  if (data_wanted) trained.data = open_data(trained.options.data);
  trained.model = make_model(trained.options.model, 0);
  load_and_place(trained, checkpoint.evaluated_weights());
  return trained;
}

// How the images of published weights were prepared; `given` fills in what nobody published.
DatasetInfo info_of_weights(const Model& model, const AugmentOptions& given) {
  const ModelInfo& about = model.info();
  DatasetInfo info{.name = "images", .channels = about.in_channels};
  if (!about.weights.empty()) {
    const WeightsInfo& published = about.weights.front();
    info.mean = published.mean;
    info.stddev = published.stddev;
    info.transform = {
        .crop = CropKind::random_resized,
        .size = published.input_size,
        .resize = std::lround(static_cast<double>(published.input_size) / published.crop_fraction)};
    return info;
  }
  if (given.mean.empty() || given.stddev.empty())
    throw Error(
        ErrorKind::invalid_argument,
        {.where = "predict",
         .rule = "nothing says how images were prepared for these weights",
         .expected =
             "data=NAME, the data they were trained on, or augment.mean and augment.stddev"});
  info.height = about.input_height;
  info.width = about.input_width;
  return info;
}

TrainedModel from_file(const std::string& path, const Json& overrides, bool data_wanted) {
  const std::unique_ptr<TensorFile> file = open_tensor_file(path);
  if (model_name(overrides).empty())
    throw Error(ErrorKind::invalid_argument,
                {.where = path,
                 .rule = "does not say which model it belongs to",
                 .expected = "model=NAME",
                 .hint = "only checkpoints of residua carry their model"});
  TrainedModel trained{
      .weights = path, .options = resolve_options(overrides), .model = {}, .info = {}, .data = {}};
  Component model = trained.options.model;
  if (data_wanted || overrides.contains("data")) {
    trained.data = open_data(trained.options.data);
    model = data_parts(trained.options, *trained.data).model;
    trained.options.model = model;
    if (trained.data->text)
      trained.tokenizer = trained.data->text->tokenizer;
    else
      trained.info = trained.data->test->info();
  }
  trained.model = make_model(model, 0);
  if (!trained.data && !trained.model->info().takes_tokens())
    trained.info = info_of_weights(*trained.model, trained.options.augment);
  load_and_place(trained, *file);
  return trained;
}

}  // namespace

TrainedModel load_trained(const LoadTrained& what, const Json& overrides) {
  if (const auto checkpoint = find_checkpoint(what.weights))
    return from_checkpoint(*checkpoint, overrides, what.open_data);
  return from_file(what.weights, overrides, what.open_data);
}

DataParts trained_data_parts(const TrainedModel& trained) {
  return data_parts(trained.options, *trained.data);
}

Pipeline prediction_pipeline(const TrainedModel& trained) {
  const Pipeline own(trained.info, trained.options.augment, Phase::test);
  if (own.crop() == CropKind::center) return own;
  if (own.height() != own.width())
    throw Error(ErrorKind::unsupported,
                {.where = trained.info.name,
                 .rule = "prediction needs a square input",
                 .received = fmt::format("{} x {}", own.height(), own.width())});
  AugmentOptions any_size{.crop = CropKind::center, .size = own.height(), .resize = own.height()};
  any_size.mean = own.mean();
  any_size.stddev = own.stddev();
  return Pipeline(trained.info, any_size, Phase::test);
}

ImagePreprocessing prediction_images(const TrainedModel& trained) {
  const Pipeline pipeline = prediction_pipeline(trained);
  return {.height = pipeline.height(),
          .width = pipeline.width(),
          .resize = pipeline.resize(),
          .mean = pipeline.mean(),
          .stddev = pipeline.stddev()};
}

}  // namespace residua
