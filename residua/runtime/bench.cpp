#include "residua/runtime/bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>

#include "residua/core/random.h"
#include "residua/graph/numbers.h"
#include "residua/runtime/batch.h"
#include "residua/runtime/session.h"
#include "residua/runtime/weight_store.h"

namespace residua {

namespace {

constexpr double kUnitVariance = 1.7320508;  // a uniform distribution's half width

double bench_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A plan with memory for its inputs and outputs.
class Runner {
 public:
  Runner(const BenchVariant& variant, BenchResult& result) : result_(result) {
    const double begin = bench_clock();
    session_ =
        std::make_unique<Session>(std::make_shared<const Plan>(variant.graph, variant.options));
    result.compile_seconds = bench_clock() - begin;
    const Plan& plan = session_->plan();
    Random random(0);
    for (const TensorType& type : plan.input_types()) inputs_.push_back(draw(type, random));
    for (const TensorType& type : plan.output_types())
      outputs_.push_back(room(checked_bytes(type.shape, type.dtype, "output")));
    layer_seconds_.resize(plan.layers().size());
    describe(variant);
    result.first_seconds = run();
  }

  double run() {
    const double begin = bench_clock();
    session_->run(inputs_, outputs_);
    return bench_clock() - begin;
  }

  void run_layers() {
    std::vector<double> seconds(layer_seconds_.size(), 0);
    session_->run_timed(inputs_, outputs_, seconds);
    for (size_t i = 0; i < seconds.size(); ++i) layer_seconds_[i].push_back(seconds[i]);
  }

  void finish() {
    for (size_t i = 0; i < layer_seconds_.size(); ++i)
      result_.layers[i].seconds = percentile(layer_seconds_[i], 0.5);
  }

 private:
  void* room(int64_t bytes) {
    memory_.push_back(aligned_bytes(std::max<int64_t>(bytes, 1)));
    std::memset(memory_.back().get(), 0, static_cast<size_t>(bytes));
    return memory_.back().get();
  }

  const void* draw(const TensorType& type, Random& random) {
    void* memory = room(checked_bytes(type.shape, type.dtype, "input"));
    if (!is_floating(type.dtype)) return memory;
    Numbers numbers{type,
                    std::vector<double>(static_cast<size_t>(checked_numel(type.shape, "input")))};
    for (double& number : numbers.data) number = random.uniform(-kUnitVariance, kUnitVariance);
    const ConstantData bytes = write_numbers(numbers);
    std::memcpy(memory, bytes.bytes.data(), bytes.bytes.size());
    return memory;
  }

  void describe(const BenchVariant& variant) {
    const Plan& plan = session_->plan();
    result_.name = variant.name;
    result_.options = variant.options;
    result_.open_seconds = variant.open_seconds;
    result_.threads = plan.threads();
    result_.batch = batch_of(variant.graph);
    result_.session_bytes = plan.memory_bytes();
    result_.weight_bytes = plan.weight_bytes();
    for (const LayerInfo& layer : plan.layers()) result_.layers.push_back({layer});
  }

  BenchResult& result_;
  std::unique_ptr<Session> session_;
  std::vector<std::shared_ptr<std::byte>> memory_;
  std::vector<const void*> inputs_;
  std::vector<void*> outputs_;
  std::vector<std::vector<double>> layer_seconds_;
};

}  // namespace

void BenchOptions::fields(Fields& f) {
  f.add("warmup", warmup, "runs that are not counted", {.min = 0, .max = 1'000'000});
  f.add("repeat", repeat, "runs of each variant", {.min = 1, .max = 1'000'000});
}

double percentile(std::vector<double> numbers, double share) {
  if (numbers.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(numbers.begin(), numbers.end());
  const double place = share * static_cast<double>(numbers.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, numbers.size() - 1);
  return std::lerp(numbers[below], numbers[above], place - static_cast<double>(below));
}

BenchResult run_first(const BenchVariant& variant) {
  BenchResult result;
  const Runner runner(variant, result);
  return result;
}

std::vector<BenchResult> run_bench(const std::vector<BenchVariant>& variants,
                                   const BenchOptions& options, const BenchProgress& progress) {
  std::vector<BenchResult> results(variants.size());
  std::vector<std::unique_ptr<Runner>> runners;
  const int64_t layer_runs = std::min<int64_t>(options.repeat, 20);
  const auto count = static_cast<int64_t>(variants.size());
  const int64_t all = count * (1 + options.warmup + options.repeat + layer_runs);
  int64_t done = 0;
  const auto tell = [&] {
    if (progress) progress(++done, all);
  };
  for (size_t i = 0; i < variants.size(); ++i, tell())
    runners.push_back(std::make_unique<Runner>(variants[i], results[i]));
  for (int64_t turn = 0; turn < options.warmup; ++turn)
    for (auto& runner : runners) runner->run(), tell();
  for (int64_t turn = 0; turn < options.repeat; ++turn)
    for (size_t i = 0; i < runners.size(); ++i, tell())
      results[i].seconds.push_back(runners[i]->run());
  for (int64_t turn = 0; turn < layer_runs; ++turn)
    for (auto& runner : runners) runner->run_layers(), tell();
  for (auto& runner : runners) runner->finish();
  return results;
}

}  // namespace residua
