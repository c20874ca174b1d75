#include "residua/recipes/reproduce.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>

#include "residua/core/error.h"
#include "residua/io/atomic_file.h"
#include "residua/recipes/results.h"

namespace residua {

namespace {

double reproduce_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double metric_named(const JobResult& result, std::string_view name) {
  for (const auto& [key, value] : result.metrics)
    if (key == name) return value;
  return std::nan("");
}

class Reproducer {
 public:
  Reproducer(const std::vector<Recipe>& recipes, const ReproduceOptions& options)
      : recipes_(recipes), options_(options) {
    for (const Recipe& recipe : recipes)
      total_ += seeds_of(recipe) * static_cast<int64_t>(recipe.jobs_at(options.scale).size());
  }

  Reproduction run() {
    for (const Recipe& recipe : recipes_)
      if (!run_recipe(recipe)) {
        found_.stopped = true;
        break;
      }
    return std::move(found_);
  }

 private:
  int64_t seeds_of(const Recipe& recipe) const {
    return options_.seeds.value_or(recipe.seeds_at(options_.scale));
  }

  bool run_recipe(const Recipe& recipe) {  // false: stopped
    const double begin = reproduce_clock();
    std::vector<JobRuns> jobs;
    for (const RecipeJob* job : recipe.jobs_at(options_.scale)) jobs.push_back({job, {}});
    for (int64_t seed = 0; seed < seeds_of(recipe); ++seed) {
      sources_.clear();
      for (JobRuns& job : jobs) {
        std::optional<JobRun> run = run_one(recipe, *job.job, seed);
        if (!run) return false;
        job.runs.push_back(std::move(*run));
      }
    }
    finish_recipe(recipe, jobs, reproduce_clock() - begin);
    return true;
  }

  std::optional<JobRun> run_one(const Recipe& recipe, const RecipeJob& job, int64_t seed) {
    ReproduceEvent event{
        .slug = recipe.slug, .job = job.name, .seed = seed, .number = ++number_, .total = total_};
    tell(event);
    const double begin = reproduce_clock();
    JobRun run{.seed = seed};
    event.kind = ReproduceEvent::finished;
    try {
      std::optional<JobOutcome> outcome = run_job(request_of(job, seed), run_options(event));
      if (!outcome) return std::nullopt;
      if (metric_named(outcome->result, "diverged") != 1) sources_[job.name] = outcome->as_source;
      run.cached = outcome->cached;
      run.result = std::move(outcome->result);
      if (run.cached) event.kind = ReproduceEvent::cached;
    } catch (const std::exception& e) {
      run.failed = event.reason = e.what();
      event.kind = ReproduceEvent::failed;
      fail(fmt::format("{}, job {}, seed {}: {}", recipe.slug, job.name, seed, e.what()));
    }
    event.seconds = reproduce_clock() - begin;
    tell(event);
    return run;
  }

  JobRequest request_of(const RecipeJob& job, int64_t seed) const {
    JobRequest request{.kind = job.kind,
                       .settings = job.settings(options_.scale),
                       .seed = seed,
                       .may_diverge = job.may_diverge};
    if (job.source().empty()) return request;
    const auto source = sources_.find(job.source());
    if (source == sources_.end())
      throw Error(ErrorKind::not_found, {.rule = fmt::format("the job {}, whose weights it needs, "
                                                             "failed or diverged",
                                                             job.source())});
    request.source = source->second;
    return request;
  }

  JobRunOptions run_options(ReproduceEvent event) const {
    JobRunOptions run = options_.run;
    if (!options_.tell) return run;
    event.kind = ReproduceEvent::progress;
    run.progress = [this, event](double fraction) mutable {
      event.fraction = fraction;
      tell(event);
    };
    return run;
  }

  void finish_recipe(const Recipe& recipe, const std::vector<JobRuns>& jobs, double seconds) {
    Json results = make_results(recipe, options_.scale, jobs, options_.environment, seconds);
    for (const Json& claim : results.at("claims"))
      if (claim.at("verdict") == "failed")
        fail(fmt::format("{}, claim {}: {}", recipe.slug, claim.at("name").get<std::string>(),
                         claim.at("says").get<std::string>()));
    write_file_atomic(results_file(options_.results, recipe.slug, options_.scale),
                      results.dump(1) + "\n");
    found_.results.push_back(std::move(results));
  }

  void tell(const ReproduceEvent& event) const {
    if (options_.tell) options_.tell(event);
  }
  void fail(std::string sentence) { found_.failures.push_back(std::move(sentence)); }

  const std::vector<Recipe>& recipes_;
  const ReproduceOptions& options_;
  std::map<std::string, JobSource> sources_;  // of the recipe and seed at hand
  int64_t number_ = 0, total_ = 0;
  Reproduction found_;
};

}  // namespace

Reproduction reproduce(const std::vector<Recipe>& recipes, const ReproduceOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(options.results, error);
  if (error) throw_io_error(options.results, "create the folder", error.value());
  return Reproducer(recipes, options).run();
}

}  // namespace residua
