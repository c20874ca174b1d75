#pragma once
// How long networks take: several variants (models, element types, batches) in one run, taking
// turns, so that whatever else the machine does slows all of them alike.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "residua/runtime/plan.h"

namespace residua {

// What is measured. The graph is optimised already.
struct BenchVariant {
  std::string name;
  Graph graph;
  PlanOptions options = {};
  double open_seconds = 0;  // that reading and optimising took
};

struct BenchOptions {
  int64_t warmup = 3;
  int64_t repeat = 20;
  void fields(Fields& f);
};

struct LayerTime {
  LayerInfo info;
  double seconds = 0;  // the median of its runs
};

struct BenchResult {
  std::string name;
  PlanOptions options = {};
  int threads = 1;
  int64_t batch = 0;
  double open_seconds = 0;
  double compile_seconds = 0;          // making plan and session
  double first_seconds = 0;            // of the first run
  std::vector<double> seconds = {};    // of each run after the warm-up, in their order
  std::vector<LayerTime> layers = {};  // of further runs
  int64_t session_bytes = 0, weight_bytes = 0;
  int64_t peak_bytes = 0;  // of a process that only opens it and runs once; 0: not measured

  double to_first_result() const { return open_seconds + compile_seconds + first_seconds; }
};

// The number below which `share` of them lie, between neighbours in proportion. Of none: NaN.
double percentile(std::vector<double> numbers, double share);

// Told after each run: how many of how many are done.
using BenchProgress = std::function<void(int64_t done, int64_t of)>;

// The first run alone: everything but `seconds` and the layers' times.
BenchResult run_first(const BenchVariant& variant);

// Inputs are drawn: real numbers from [-1.7, 1.7) (variance 1, as of normalised images), integers
// are 0. Throws what Plan and Session::run throw.
std::vector<BenchResult> run_bench(const std::vector<BenchVariant>& variants,
                                   const BenchOptions& options,
                                   const BenchProgress& progress = nullptr);

}  // namespace residua
