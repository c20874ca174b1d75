// `residua eval`

#include <fmt/format.h>

#include "app/commands.h"
#include "app/training/settings_values.h"
#include "residua/core/error.h"
#include "residua/recipes/experiment.h"
#include "residua/recipes/trained_model.h"
#include "residua/train/evaluate.h"
#include "residua/train/progress.h"
#include "residua/train/tasks/classification_review.h"

namespace residua::app {

namespace {

Json class_json(const ConfusionMatrix& matrix, int64_t c, const std::string& name) {
  return {{"class", name},
          {"images", matrix.total(c)},
          {"recall", matrix.recall(c)},
          {"precision", matrix.precision(c)}};
}

std::shared_ptr<ClassificationReview> classes_review(const DataSplits& data) {
  return std::make_shared<ClassificationReview>(
      static_cast<int64_t>(data.test->info().classes.size()), data.test->size());
}

Json classes_json(const ConfusionMatrix& matrix, const Dataset& test) {
  Json classes = Json::array();
  for (int64_t c = 0; c < matrix.classes(); ++c)
    classes.push_back(class_json(matrix, c, test.info().classes[static_cast<size_t>(c)]));
  return classes;
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
  const DataParts parts = trained_data_parts(trained);
  const std::shared_ptr<ClassificationReview> review =
      trained.data->text ? nullptr : classes_review(*trained.data);
  const LoopOptions& loop = trained.options.loop;
  const Metrics metrics = *evaluate(model_network(trained.model), *parts.task, *parts.test,
                                    {loop.device, loop.amp}, review.get());
  const std::string unit = parts.test->unit();
  const int64_t left_out = parts.test->skipped();
  const int64_t units = (parts.test->samples() - left_out) * parts.test->units_per_sample();
  if (a.json) {
    Json result{{"weights", trained.weights},
                {"model", trained.options.model.name},
                {"data", trained.options.data.name},
                {unit, units},
                {"skipped", left_out}};
    for (const Metric& m : metrics) result[m.name] = m.value;
    if (review)
      result["classes"] = classes_json(review->findings()->confusion, *trained.data->test);
    fmt::print("{}\n", result.dump(1));
    return 0;
  }
  fmt::print("{} on {}: {} {}\n", trained.options.model.name, trained.options.data.name, units,
             unit);
  for (const Metric& m : metrics) fmt::print("  {}\n", metric_text(m));
  if (left_out > 0) fmt::print("  {} images could not be read\n", left_out);
  if (review) print_classes(review->findings()->confusion, trained.data->test->info().classes);
  return 0;
}

}  // namespace residua::app
