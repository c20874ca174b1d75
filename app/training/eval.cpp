// `residua eval`

#include <fmt/format.h>

#include "app/commands.h"
#include "app/training/settings_values.h"
#include "residua/core/error.h"
#include "residua/recipes/experiment.h"
#include "residua/recipes/trained_model.h"
#include "residua/train/evaluate.h"
#include "residua/train/progress.h"

namespace residua::app {

namespace {

Json class_json(const ConfusionMatrix& matrix, int64_t c, const std::string& name) {
  return {{"class", name},
          {"images", matrix.total(c)},
          {"recall", matrix.recall(c)},
          {"precision", matrix.precision(c)}};
}

void print_classes(const ConfusionMatrix& matrix, const std::vector<std::string>& names) {
  fmt::print("\n{:<24}{:>8}{:>10}{:>11}\n", "class", "images", "found", "precision");
  for (int64_t c = 0; c < matrix.classes(); ++c)
    fmt::print("{:<24}{:>8}{:>10}{:>11}\n", names[static_cast<size_t>(c)], matrix.total(c),
               percent(matrix.recall(c)), percent(matrix.precision(c)));
}

}  // namespace

int eval(const EvalArguments& a) {
  const TrainedModel trained =
      load_trained({.weights = a.weights, .open_data = true}, read_settings("", a.overrides));
  use_threads(trained.options.threads);
  const Dataset& test = *trained.data->test;
  const std::shared_ptr<Loader> loader = make_test_loader(trained.options, trained.data->test);
  ClassificationReview review(static_cast<int64_t>(test.info().classes.size()), test.size());
  const LoopOptions& loop = trained.options.loop;
  const Metrics metrics = *evaluate(model_network(trained.model), ClassificationTask(), *loader,
                                    {loop.device, loop.amp}, &review);
  const ConfusionMatrix& matrix = review.findings()->confusion;
  if (a.json) {
    Json result{{"weights", trained.weights},
                {"model", trained.options.model.name},
                {"data", trained.options.data.name},
                {"images", matrix.total()},
                {"skipped", loader->skipped()}};
    for (const Metric& m : metrics) result[m.name] = m.value;
    result["classes"] = Json::array();
    for (int64_t c = 0; c < matrix.classes(); ++c)
      result["classes"].push_back(
          class_json(matrix, c, test.info().classes[static_cast<size_t>(c)]));
    fmt::print("{}\n", result.dump(1));
    return 0;
  }
  fmt::print("{} on {}: {} images\n", trained.options.model.name, trained.options.data.name,
             matrix.total());
  for (const Metric& m : metrics) fmt::print("  {}\n", metric_text(m));
  if (loader->skipped() > 0) fmt::print("  {} images could not be read\n", loader->skipped());
  print_classes(matrix, test.info().classes);
  return 0;
}

}  // namespace residua::app
