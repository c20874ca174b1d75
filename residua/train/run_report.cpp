#include "residua/train/run_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>

#include "residua/core/error.h"
#include "residua/core/log.h"
#include "residua/train/progress.h"

namespace residua {

namespace {

constexpr double kSecondsBetweenPages = 5;

double report_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ReportSeries& series_named(std::vector<ReportSeries>& all, const std::string& name,
                           const std::string& x_label) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const ReportSeries& s) { return s.name == name; });
  if (found != all.end()) return *found;
  return all.emplace_back(ReportSeries{name, x_label, {}, {}});
}

void add_line(std::vector<ReportSeries>& all, const Json& line) {
  const std::string kind = line.at("kind");
  // The finer curve of single stretches is for the log; epochs are comparable with tests.
  const bool rate = kind == "train";
  const std::string split = kind == "epoch" ? "train" : kind;
  for (const auto& [key, value] : line.items()) {
    if (key == "kind" || key == "step" || key == "epoch" || key == "seconds") continue;
    const bool of_step = key == "lr" || key.ends_with("_per_second");
    if (of_step != rate) continue;
    ReportSeries& s =
        of_step ? series_named(all, key, "step") : series_named(all, split + "/" + key, "epoch");
    s.x.push_back(line.at(of_step ? "step" : "epoch").get<double>());
    s.y.push_back(value.is_number() ? value.get<double>() : std::nan(""));
  }
}

}  // namespace

std::vector<ReportSeries> read_series(const std::string& metrics_path) {
  std::vector<ReportSeries> all;
  std::ifstream file(metrics_path);
  for (std::string text; std::getline(file, text);) {
    const Json line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!line.is_discarded()) add_line(all, line);
  }
  return all;
}

void RunReport::record(const RunEvent& event) {
  if (const auto* measured = std::get_if<Measured>(&event);
      measured != nullptr && measured->kind == "test") {
    summary_["epochs"] = measured->epoch;
    for (const Metric& m : measured->metrics) {
      const std::string text = metric_text(m);
      summary_["test " + m.name] = text.substr(text.find(' ') + 1);
    }
    summary_["training time"] = duration_text(measured->seconds);
  }
  const bool saved = std::holds_alternative<CheckpointSaved>(event);
  const bool ended = std::holds_alternative<RunEnded>(event);
  const double now = report_clock();
  if (!(saved && now - written_ > kSecondsBetweenPages) && !ended) return;
  written_ = now;
  write_report(parts_.folder.report(), make());
}

Report RunReport::make() const {
  Report report{.title = parts_.title};
  report.configuration = parts_.configuration;
  report.environment = parts_.environment;
  report.summary = summary_;
  report.series = read_series(parts_.folder.metrics());
  if (parts_.details) parts_.details(report);
  return report;
}

}  // namespace residua
