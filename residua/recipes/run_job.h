#pragma once
// Runs one job of a recipe for one seed, or finds it finished in the cache.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "residua/recipes/job_result.h"
#include "residua/recipes/recipe.h"

namespace residua {

// A finished train job that another job builds on.
struct JobSource {
  std::string key;      // of its place in the cache
  std::string weights;  // its last checkpoint
  Json configuration;
};

struct JobRequest {
  JobKind kind = JobKind::train;
  Json settings;     // of the job at its scale
  int64_t seed = 0;  // of the run; replaces that of the settings
  bool may_diverge = false;
  std::optional<JobSource> source = {};
};

struct JobRunOptions {
  std::string cache = "results-cache";
  // Runs again what finished before this moment.
  std::optional<std::filesystem::file_time_type> fresh_since = {};
  std::function<bool()> stop = {};
  std::function<void(double fraction)> progress = {};  // of a training, in [0, 1]
};

struct JobOutcome {
  JobResult result = {};
  JobSource as_source = {};  // of a train job
  bool cached = false;
};

// Nothing when it was stopped; a training then has saved where it stands and the next call goes on
// from there. Throws what went wrong; Diverged (train/non_finite.h) unless the job may diverge.
//
// A train job reports train.* of its last epoch, test.* of the last evaluation, best (the best
// test value), seconds (of all its steps, without evaluations), step_seconds (the median), steps,
// parameters, macs (of one sample) and diverged. Of a diverged run losses are infinite, accuracies
// 0 and other measures of quality not a number.
std::optional<JobOutcome> run_job(const JobRequest& request, const JobRunOptions& options);

}  // namespace residua
