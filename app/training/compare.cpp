// `residua compare`

#include "residua/recipes/compare.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "app/commands.h"
#include "app/training/reproduce_display.h"
#include "app/training/settings_values.h"
#include "residua/core/error.h"
#include "residua/train/stop_signal.h"

namespace residua::app {

namespace {

double metric_in(const Json& row, const std::string& name) {
  return row.at("metrics").contains(name) ? number_from_json(row.at("metrics").at(name))
                                          : std::nan("");
}

// Trained rows, the best first; `loss` is better when smaller.
std::vector<Json> ranked_rows(const Json& comparison) {
  std::vector<Json> rows;
  for (const Json& row : comparison.at("rows"))
    if (row.contains("metrics")) rows.push_back(row);
  if (comparison.at("quality").empty()) return rows;
  const std::string name = comparison.at("quality")[0];
  const double sign = name == "test.loss" ? 1 : -1;
  std::stable_sort(rows.begin(), rows.end(), [&](const Json& a, const Json& b) {
    return sign * metric_in(a, name) < sign * metric_in(b, name);
  });
  return rows;
}

void print_comparison(const Json& comparison) {
  size_t width = 12;
  for (const Json& row : comparison.at("rows"))
    width = std::max(width, row.at("name").get<std::string>().size());
  fmt::print("{} on {} with {}, {} epochs\n\n{:<{}}", comparison.at("what").get<std::string>(),
             comparison.at("carrier").get<std::string>(), comparison.at("data").get<std::string>(),
             comparison.at("epochs").get<int64_t>(), "connection", width);
  for (const Json& name : comparison.at("quality")) fmt::print("{:>12}", name.get<std::string>());
  fmt::print("{:>12}{:>10}{:>12}{:>12}\n", "parameters", "step ms", "peak MB", "grad 1st/last");
  for (const Json& row : ranked_rows(comparison)) {
    fmt::print("{:<{}}", row.at("name").get<std::string>(), width);
    for (const Json& name : comparison.at("quality"))
      fmt::print("{:>12.4f}", metric_in(row, name.get<std::string>()));
    fmt::print("{:>12.0f}{:>10.2f}{:>12.1f}{:>12.3g}\n", metric_in(row, "parameters"),
               1e3 * metric_in(row, "step_seconds"), row.at("peak_bytes").get<double>() / 1e6,
               number_from_json(row.at("gradient_ratio")));
  }
  for (const Json& row : comparison.at("rows"))
    if (!row.contains("metrics"))
      fmt::print("{:<{}}{}: {}\n", row.at("name").get<std::string>(), width,
                 row.contains("refused") ? "not taken" : "failed",
                 row.value("refused", row.value("failed", std::string())));
}

}  // namespace

int compare(const CompareArguments& a) {
  use_threads(a.threads);
  const StopOnSignals signals;
  CompareOptions options{.carrier = a.carrier, .data = a.data, .epochs = a.epochs, .only = a.only};
  options.changes = read_settings("", a.overrides);
  options.run.cache = a.cache;
  options.run.stop = StopOnSignals::requested;
  options.results = a.results;
  options.environment = measured_environment();
  std::map<std::string, int64_t> runs;
  for (const std::string& name : connections_to_compare(options)) runs[a.carrier + "/" + name] = 1;
  ReproduceDisplay display(runs, isatty(STDERR_FILENO) == 1);
  options.tell = [&](const ReproduceEvent& event) { display.show(event); };

  const std::optional<Json> comparison = compare_connections(options);
  if (!comparison) {
    fmt::print(stderr, "stopped; the same command goes on from here\n");
    return 130;
  }
  if (a.json)
    fmt::print("{}\n", comparison->dump(1));
  else
    print_comparison(*comparison);
  const Json& rows = comparison->at("rows");
  return std::any_of(rows.begin(), rows.end(),
                     [](const Json& row) { return row.contains("failed"); })
             ? 2
             : 0;
}

}  // namespace residua::app
