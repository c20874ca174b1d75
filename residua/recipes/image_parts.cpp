#include "residua/recipes/image_parts.h"

#include <fmt/format.h>

#include <algorithm>

#include "residua/core/error.h"
#include "residua/train/tasks/classification.h"
#include "residua/train/tasks/classification_report.h"

namespace residua {

namespace {

LoaderOptions loader_options(const TrainOptions& options) {
  return {.batch_size = options.batch_size,
          .workers = options.workers,
          .channels_last = options.loop.channels_last,
          .skip_corrupt = skips_corrupt(options.data)};
}

std::shared_ptr<Loader> make_train_loader(const TrainOptions& options,
                                          std::shared_ptr<const Dataset> train) {
  LoaderOptions settings = loader_options(options);
  settings.shuffle = true;
  settings.drop_last = train->size() > settings.batch_size;
  Pipeline pipeline(train->info(), options.augment, Phase::train);
  return std::make_shared<Loader>(std::move(train), std::move(pipeline), settings,
                                  Random(static_cast<uint64_t>(options.loop.seed)).split("train"));
}

}  // namespace

void fit_option(Json& options, const Json& all, const std::string& key, int64_t value,
                const std::string& what) {
  if (!all.contains(key)) return;
  if (!options.contains(key)) {
    options[key] = value;
  } else if (options[key] != value) {
    throw Error(ErrorKind::invalid_argument, {.where = "model." + key,
                                              .rule = "does not fit the " + what + " of the data",
                                              .expected = std::to_string(value),
                                              .received = options[key].dump()});
  }
}

Component fit_model(const Component& model, const DatasetInfo& data, int64_t image_size) {
  Json options = model.options_or_empty();
  const Json all = models().find(model.name).resolve(options, "model");
  fit_option(options, all, "num_classes", static_cast<int64_t>(data.classes.size()), "classes");
  fit_option(options, all, "in_channels", data.channels, "channels");
  if (image_size > 0) fit_option(options, all, "image_size", image_size, "size");
  return models().resolve({model.name, std::move(options)});
}

int64_t input_size(const DatasetInfo& data, const AugmentOptions& augment) {
  const Pipeline pipeline(data, augment, Phase::train);
  return pipeline.height() == pipeline.width() ? pipeline.height() : 0;
}

std::shared_ptr<Loader> make_test_loader(const TrainOptions& options,
                                         std::shared_ptr<const Dataset> test) {
  LoaderOptions settings = loader_options(options);
  Pipeline pipeline(test->info(), options.augment, Phase::test);
  return std::make_shared<Loader>(std::move(test), std::move(pipeline), settings, Random(0));
}

Json to_json(const DatasetInfo& info) {
  const TransformDefaults& t = info.transform;
  return {{"name", info.name},
          {"classes", info.classes},
          {"channels", info.channels},
          {"height", info.height},
          {"width", info.width},
          {"mean", info.mean},
          {"stddev", info.stddev},
          {"crop", EnumNames<CropKind>::names[static_cast<size_t>(t.crop)]},
          {"size", t.size},
          {"resize", t.resize},
          {"pad", t.pad},
          {"flip", t.flip}};
}

DatasetInfo dataset_info_from_json(const Json& json) {
  DatasetInfo info;
  TransformDefaults& t = info.transform;
  json.at("name").get_to(info.name);
  json.at("classes").get_to(info.classes);
  json.at("channels").get_to(info.channels);
  json.at("height").get_to(info.height);
  json.at("width").get_to(info.width);
  json.at("mean").get_to(info.mean);
  json.at("stddev").get_to(info.stddev);
  json.at("size").get_to(t.size);
  json.at("resize").get_to(t.resize);
  json.at("pad").get_to(t.pad);
  json.at("flip").get_to(t.flip);
  const auto& names = EnumNames<CropKind>::names;
  const auto crop = std::find(names.begin(), names.end(), json.at("crop").get<std::string>());
  if (crop == names.end())
    throw Error(ErrorKind::corrupt_file, {.where = "data.crop", .rule = "is not a kind of crop"});
  t.crop = static_cast<CropKind>(crop - names.begin());
  return info;
}

DataParts image_parts(const TrainOptions& options, const DataSplits& data) {
  const DatasetInfo& info = data.train->info();
  const Pipeline pipeline(info, options.augment, Phase::train);
  return {
      .model = fit_model(options.model, info, input_size(info, options.augment)),
      .task = std::make_shared<ClassificationTask>(ClassificationOptions{options.label_smoothing}),
      .train = make_train_loader(options, data.train),
      .test = make_test_loader(options, data.test),
      .info = to_json(info),
      .one_input = {1, pipeline.channels(), pipeline.height(), pipeline.width()}};
}

ReviewParts image_review(const DataSplits& data) {
  const auto review = std::make_shared<ClassificationReview>(
      static_cast<int64_t>(data.test->info().classes.size()), data.test->size());
  return {review, classification_details(data.test, review)};
}

}  // namespace residua
