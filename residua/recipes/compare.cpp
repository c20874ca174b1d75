#include "residua/recipes/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

#include "residua/connections/connection.h"
#include "residua/core/error.h"
#include "residua/io/atomic_file.h"
#include "residua/io/file.h"
#include "residua/recipes/experiment.h"
#include "residua/recipes/step_profile.h"

namespace residua {

namespace {

constexpr char kPrefix[] = "compare-connections.";

double compare_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

const CompareCarrier& find_carrier(const std::string& name) {
  std::vector<std::string> names;
  for (const CompareCarrier& carrier : compare_carriers()) {
    if (carrier.name == name) return carrier;
    names.push_back(carrier.name);
  }
  throw Error(ErrorKind::not_found, {.where = name,
                                     .rule = "is not the name of a carrier",
                                     .expected = fmt::format("{}", fmt::join(names, ", ")),
                                     .hint = nearest_names_hint(name, names)});
}

Json common_settings(const CompareOptions& options) {
  Json settings = find_carrier(options.carrier).settings;
  merge(settings, options.changes);
  if (!options.data.empty()) merge(settings, {{"data", options.data}});
  if (options.epochs > 0) settings["epochs"] = options.epochs;
  return settings;
}

Series gradient_series(const std::vector<double>& norms) {
  Series s{.name = "gradient norm by site", .x_label = "site", .y_label = "norm", .log_y = true};
  for (size_t i = 0; i < norms.size(); ++i) s.x.push_back(static_cast<double>(i + 1));
  s.measured = norms;
  return s;
}

// The measures of quality that the rows have, the one that decides first.
Json quality_of(const Json& rows) {
  Json names = Json::array();
  for (const char* name : {"test.top1", "test.loss"})
    if (std::any_of(rows.begin(), rows.end(), [&](const Json& row) {
          return row.contains("metrics") && row.at("metrics").contains(name);
        }))
      names.push_back(name);
  return names;
}

class Comparison {
 public:
  explicit Comparison(const CompareOptions& options)
      : options_(options),
        settings_(common_settings(options)),
        names_(connections_to_compare(options)) {}

  std::optional<Json> run() {
    const TrainOptions resolved = resolve_options(settings_);  // what all rows share must be right
    Json rows = Json::array();
    for (const std::string& name : names_) {
      std::optional<Json> row = run_row(name);
      if (!row) return std::nullopt;
      rows.push_back(std::move(*row));
    }
    Json quality = quality_of(rows);
    return Json{{"engine", kRecipeEngineVersion}, {"what", "connections"},
                {"carrier", options_.carrier},    {"data", resolved.data.name},
                {"epochs", resolved.loop.epochs}, {"environment", options_.environment},
                {"settings", settings_},          {"quality", std::move(quality)},
                {"rows", std::move(rows)}};
  }

 private:
  std::optional<Json> run_row(const std::string& name) {
    Json row{{"name", name}, {"help", connections().find(name).info.help}};
    Json settings = settings_;
    merge(settings, {{"model", {{"connection", name}}}});
    ReproduceEvent event{.slug = options_.carrier,
                         .job = name,
                         .number = ++number_,
                         .total = static_cast<int64_t>(names_.size())};
    if (options_.tell) options_.tell(event);
    const double begin = compare_clock();
    try {
      const std::optional<StepProfile> profile = profile_or_refusal(settings, row);
      event.kind = ReproduceEvent::cached;
      if (profile) {
        const std::optional<JobOutcome> outcome = train_row(settings, event);
        if (!outcome) return std::nullopt;
        if (!outcome->cached) event.kind = ReproduceEvent::finished;
        fill_row(row, *profile, outcome->result);
      }
    } catch (const std::exception& e) {
      row["failed"] = event.reason = e.what();
      event.kind = ReproduceEvent::failed;
    }
    event.seconds = compare_clock() - begin;
    if (options_.tell) options_.tell(event);
    return row;
  }

  // Nothing when the carrier does not take the connection; the row then says why.
  static std::optional<StepProfile> profile_or_refusal(const Json& settings, Json& row) {
    try {
      return profile_step(make_experiment(resolve_options(settings)));
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::unsupported) throw;
      row["refused"] = e.text().rule;
      return std::nullopt;
    }
  }

  std::optional<JobOutcome> train_row(const Json& settings, const ReproduceEvent& event) const {
    JobRunOptions run = options_.run;
    if (options_.tell)
      run.progress = [this, event = ReproduceEvent(event)](double fraction) mutable {
        event.kind = ReproduceEvent::progress;
        event.fraction = fraction;
        options_.tell(event);
      };
    return run_job({.settings = settings, .may_diverge = true}, run);
  }

  static void fill_row(Json& row, const StepProfile& profile, JobResult result) {
    const std::vector<double>& norms = profile.gradient_norms;
    if (!norms.empty()) result.series.insert(result.series.begin(), gradient_series(norms));
    Json json = job_result_to_json(result);
    row["metrics"] = std::move(json["metrics"]);
    row["peak_bytes"] = profile.peak_bytes;
    row["gradient_ratio"] =
        number_to_json(norms.empty() ? std::nan("") : norms.front() / norms.back());
    row["series"] = std::move(json["series"]);
  }

  const CompareOptions& options_;
  Json settings_;
  std::vector<std::string> names_;
  int64_t number_ = 0;
};

}  // namespace

const std::vector<CompareCarrier>& compare_carriers() {
  static const std::vector<CompareCarrier> carriers{
      {"resnet20",
       "ResNet-20 on CIFAR-10",
       {{"model", {{"name", "resnet20"}}},
        {"data", "cifar10"},
        {"batch_size", 128},
        {"optim", {{"name", "sgd"}, {"lr", 0.1}, {"weight_decay", 1e-4}}},
        {"epochs", 5}}},
      {"vit-tiny",
       "vision transformer of width 64 and depth 6 on CIFAR-10",
       {{"model", {{"name", "vit"}}},
        {"data", "cifar10"},
        {"batch_size", 128},
        {"optim", {{"name", "adamw"}, {"lr", 1e-3}, {"weight_decay", 0.05}}},
        {"epochs", 5}}},
      {"gpt-mini",
       "character-level GPT of width 96 and depth 4 on Shakespeare",
       {{"model", {{"name", "gpt"}}},
        {"data", "shakespeare"},
        {"batch_size", 32},
        {"optim", {{"name", "adamw"}, {"lr", 1e-3}, {"weight_decay", 0.1}}},
        {"epochs", 1}}}};
  return carriers;
}

std::vector<std::string> connections_to_compare(const CompareOptions& options) {
  if (options.only.empty()) return connections().list();
  for (const std::string& name : options.only) connections().find(name);
  return options.only;
}

std::optional<Json> compare_connections(const CompareOptions& options) {
  std::optional<Json> comparison = Comparison(options).run();
  if (!comparison) return std::nullopt;
  std::error_code error;
  std::filesystem::create_directories(options.results, error);
  if (error) throw_io_error(options.results, "create the folder", error.value());
  write_file_atomic(fmt::format("{}/{}{}.{}.json", options.results, kPrefix, options.carrier,
                                comparison->at("data").get<std::string>()),
                    comparison->dump(1) + "\n");
  return comparison;
}

bool is_comparison_file(const std::string& path) {
  const std::filesystem::path file(path);
  return file.filename().string().starts_with(kPrefix) && file.extension() == ".json";
}

Json read_comparison(const std::string& file) {
  const std::vector<std::byte> bytes = read_file(file);
  Json json = parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file);
  if (!json.is_object() || !json.contains("engine") || !json.contains("rows"))
    throw Error(ErrorKind::corrupt_file, {.where = file, .rule = "holds no comparison"});
  if (json.at("engine") != kRecipeEngineVersion)
    throw Error(ErrorKind::unsupported,
                {.where = file,
                 .rule = "was written by another version of the recipe engine",
                 .expected = std::to_string(kRecipeEngineVersion),
                 .received = json_text(json.at("engine")),
                 .hint = "`residua compare` writes it again"});
  return json;
}

}  // namespace residua
