#pragma once
// What a job of a recipe gives: numbers and curves, as they are kept and written.

#include <cstdint>
#include <string>
#include <vector>

#include "residua/analysis/probe.h"
#include "residua/core/json.h"

namespace residua {

// Raised whenever results of before can no longer be compared: other metrics, another meaning.
inline constexpr int64_t kRecipeEngineVersion = 1;

using MetricValues = std::vector<std::pair<std::string, double>>;

struct JobResult {
  MetricValues metrics = {};
  std::vector<Series> series = {};  // curves of a training, or what a probe drew
  Json configuration = {};          // complete: every option of the run, or of the probe
  double seconds = 0;               // that the job took
};

Json job_result_to_json(const JobResult& result);
JobResult job_result_from_json(const Json& json);

// JSON has no infinite numbers: they are words there.
Json number_to_json(double value);
double number_from_json(const Json& json);

// At most about `limit` points: each the mean of its neighbours, at the last one's x; the first and
// the last point stay.
Series thin_series(const Series& series, size_t limit);

// The curves of a training run's metrics.jsonl over its steps: train/loss, and train/* and test/*
// by epochs.
struct RunCurves {
  std::vector<Series> series;
  MetricValues last;  // train.* of the last epoch, test.* of the last evaluation
};
RunCurves read_run_curves(const std::string& metrics_path);

}  // namespace residua
