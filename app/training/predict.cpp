// `residua predict`

#include <fmt/format.h>

#include "app/commands.h"
#include "app/training/settings_values.h"
#include "residua/core/error.h"
#include "residua/recipes/predict.h"

namespace residua::app {

namespace {

std::string class_name(const DatasetInfo& info, int64_t index) {
  const auto i = static_cast<size_t>(index);
  return i < info.classes.size() ? info.classes[i] : std::to_string(index);
}

Json to_json(const ImagePrediction& p, const DatasetInfo& info) {
  Json top = Json::array();
  for (const auto& [index, probability] : p.top)
    top.push_back(
        {{"index", index}, {"class", class_name(info, index)}, {"probability", probability}});
  return {{"image", p.path}, {"top", top}};
}

}  // namespace

int predict(const PredictArguments& a) {
  if (a.inputs.empty())
    throw Error(ErrorKind::invalid_argument,
                {.where = "predict", .rule = "needs at least one image"});
  const TrainedModel trained = load_trained({.weights = a.weights}, read_settings("", a.overrides));
  use_threads(trained.options.threads);
  const auto predictions = predict_images(trained, a.inputs, a.top_k);
  if (a.json) {
    Json all = Json::array();
    for (const ImagePrediction& p : predictions) all.push_back(to_json(p, trained.info));
    fmt::print("{}\n", all.dump(1));
    return 0;
  }
  for (const ImagePrediction& p : predictions) {
    fmt::print("{}\n", p.path);
    for (const auto& [index, probability] : p.top)
      fmt::print("  {:>8}  {}\n", percent(probability), class_name(trained.info, index));
  }
  return 0;
}

}  // namespace residua::app
