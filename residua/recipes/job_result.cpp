#include "residua/recipes/job_result.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>

namespace residua {

namespace {

constexpr size_t kCurvePoints = 120;

// Curves are for the eye: five digits keep the files small.
Json short_numbers(const std::vector<double>& values) {
  Json list = Json::array();
  for (const double value : values) {
    const Json word = number_to_json(value);
    list.push_back(
        word.is_number() ? Json(std::strtod(fmt::format("{:.5g}", value).c_str(), nullptr)) : word);
  }
  return list;
}

std::vector<double> numbers_of(const Json& json, const char* key) {
  std::vector<double> values;
  if (json.contains(key))
    for (const Json& value : json.at(key)) values.push_back(number_from_json(value));
  return values;
}

Json curve_to_json(const Series& s) {
  Json json{{"name", s.name}};
  if (!s.x_label.empty()) json["x_label"] = s.x_label;
  if (!s.y_label.empty()) json["y_label"] = s.y_label;
  if (s.log_x) json["log_x"] = true;
  if (s.log_y) json["log_y"] = true;
  json["x"] = short_numbers(s.x);
  const auto add = [&](const char* key, const std::vector<double>& values) {
    if (!values.empty()) json[key] = short_numbers(values);
  };
  add("measured", s.measured);
  add("predicted", s.predicted);
  add("low", s.low);
  add("high", s.high);
  return json;
}

Series curve_from_json(const Json& json) {
  return {.name = json.at("name"),
          .x_label = json.value("x_label", std::string()),
          .y_label = json.value("y_label", std::string()),
          .log_x = json.value("log_x", false),
          .log_y = json.value("log_y", false),
          .x = numbers_of(json, "x"),
          .measured = numbers_of(json, "measured"),
          .predicted = numbers_of(json, "predicted"),
          .low = numbers_of(json, "low"),
          .high = numbers_of(json, "high")};
}

Series& curve_named(std::vector<Series>& all, const std::string& name, const std::string& y_label) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Series& s) { return s.name == name; });
  if (found != all.end()) return *found;
  return all.emplace_back(Series{.name = name, .x_label = "step", .y_label = y_label});
}

void set_metric(MetricValues& metrics, const std::string& name, double value) {
  for (auto& [known, old] : metrics)
    if (known == name) {
      old = value;
      return;
    }
  metrics.emplace_back(name, value);
}

bool is_metric(const std::string& key) {
  static const std::vector<std::string> kOthers{"kind", "step", "epoch", "lr", "seconds"};
  return !key.ends_with("_per_second") &&
         std::find(kOthers.begin(), kOthers.end(), key) == kOthers.end();
}

void add_log_line(RunCurves& run, const Json& line) {
  const std::string kind = line.at("kind");
  const bool stretch = kind == "train";  // the finer curve; only its loss is drawn
  const std::string split = kind == "test" ? "test" : "train";
  for (const auto& [key, number] : line.items()) {
    if (!is_metric(key) || (stretch && key != "loss")) continue;
    const double value = number.is_number() ? number.get<double>() : std::nan("");
    if (!stretch) set_metric(run.last, split + "." + key, value);
    const bool coarse_loss = kind == "epoch" && key == "loss";
    Series& s = curve_named(run.series, split + "/" + key + (coarse_loss ? " of epochs" : ""), key);
    s.x.push_back(line.at("step").get<double>());
    s.measured.push_back(value);
  }
}

// A run too short for lines between its epochs shows the epochs' loss.
void choose_train_loss(std::vector<Series>& all) {
  const auto named = [&](const std::string& name) {
    return std::find_if(all.begin(), all.end(), [&](const Series& s) { return s.name == name; });
  };
  const auto fine = named("train/loss"), coarse = named("train/loss of epochs");
  if (coarse == all.end()) return;
  if (fine != all.end() && fine->x.size() >= coarse->x.size()) {
    all.erase(coarse);
    return;
  }
  coarse->name = "train/loss";
  if (fine != all.end()) all.erase(fine);
}

double mean_of(const std::vector<double>& values, size_t begin, size_t end) {
  double sum = 0;
  for (size_t i = begin; i < end; ++i) sum += values[i];
  return sum / static_cast<double>(end - begin);
}

}  // namespace

Json number_to_json(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

double number_from_json(const Json& json) {
  if (json.is_number()) return json.get<double>();
  if (json == "inf") return std::numeric_limits<double>::infinity();
  if (json == "-inf") return -std::numeric_limits<double>::infinity();
  return std::nan("");
}

Json job_result_to_json(const JobResult& result) {
  Json metrics = Json::object(), series = Json::array();
  for (const auto& [name, value] : result.metrics) metrics[name] = number_to_json(value);
  for (const Series& s : result.series) series.push_back(curve_to_json(s));
  return {{"seconds", result.seconds},
          {"configuration", result.configuration},
          {"metrics", std::move(metrics)},
          {"series", std::move(series)}};
}

JobResult job_result_from_json(const Json& json) {
  JobResult result{.configuration = json.at("configuration"),
                   .seconds = number_from_json(json.at("seconds"))};
  for (const auto& [name, value] : json.at("metrics").items())
    result.metrics.emplace_back(name, number_from_json(value));
  for (const Json& s : json.at("series")) result.series.push_back(curve_from_json(s));
  return result;
}

Series thin_series(const Series& series, size_t limit) {
  if (series.x.size() <= limit || limit < 3) return series;
  Series thin = series;
  for (auto* column : {&thin.x, &thin.measured, &thin.predicted, &thin.low, &thin.high}) {
    if (column->empty()) continue;
    const std::vector<double> all = std::move(*column);
    const size_t inner = all.size() - 2, groups = limit - 2;
    column->assign(1, all.front());
    for (size_t g = 0; g < groups; ++g) {
      const size_t begin = 1 + inner * g / groups, end = 1 + inner * (g + 1) / groups;
      column->push_back(column == &thin.x ? all[end - 1] : mean_of(all, begin, end));
    }
    column->push_back(all.back());
  }
  return thin;
}

RunCurves read_run_curves(const std::string& metrics_path) {
  RunCurves run;
  std::ifstream file(metrics_path);
  for (std::string text; std::getline(file, text);) {
    const Json line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!line.is_discarded()) add_log_line(run, line);
  }
  choose_train_loss(run.series);
  for (Series& s : run.series) s = thin_series(s, kCurvePoints);
  return run;
}

}  // namespace residua
