#include "residua/runtime/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "residua/core/error.h"
#include "residua/runtime/session.h"

namespace residua {

namespace {

constexpr size_t kBins = 2048;

// The same graph with other outputs.
Graph observed_graph(const Graph& graph, std::span<const ObservedValue> values) {
  Graph g = graph;
  g.outputs.clear();
  for (const ObservedValue& v : values) g.outputs.push_back(v.value);
  return g;
}

struct Observer {
  Session session;
  std::vector<std::vector<float>> memory;
  std::vector<void*> outputs;

  explicit Observer(std::shared_ptr<const Plan> plan) : session(std::move(plan)) {
    for (const TensorType& type : session.plan().output_types()) {
      memory.emplace_back(static_cast<size_t>(checked_numel(type.shape, "calibration")));
      outputs.push_back(memory.back().data());
    }
  }
  void run(const CalibrationSample& sample) {
    const Plan& plan = session.plan();
    std::vector<const void*> inputs;
    for (const TensorData& t : sample) inputs.push_back(t.bytes.data());
    bool fits = sample.size() == plan.input_types().size();
    for (size_t i = 0; fits && i < sample.size(); ++i)
      fits = sample[i].info.dtype == plan.input_types()[i].dtype &&
             sample[i].info.shape == plan.input_types()[i].shape;
    if (!fits)
      throw Error(ErrorKind::invalid_argument,
                  {.where = "calibration",
                   .rule = "each sample must have the graph's inputs, in its types and shapes"});
    session.run(inputs, outputs);
  }
};

void add_range(const std::vector<float>& numbers, const Shape& shape, int64_t axis,
               ValueStatistics& s) {
  const auto channel = static_cast<size_t>(axis);
  const auto channels = static_cast<size_t>(shape[channel]);
  size_t inner = 1;
  for (size_t i = channel + 1; i < shape.size(); ++i) inner *= static_cast<size_t>(shape[i]);
  s.channel_mean.resize(channels, 0);
  for (size_t i = 0; i < numbers.size(); ++i) {
    const auto v = static_cast<double>(numbers[i]);
    s.min = std::min(s.min, v);
    s.max = std::max(s.max, v);
    s.channel_mean[i / inner % channels] += v;
  }
}

void add_histogram(const std::vector<float>& numbers, ValueStatistics& s) {
  const double by = s.largest() > 0 ? static_cast<double>(kBins) / s.largest() : 0;
  for (const float v : numbers) {
    const auto bin = static_cast<size_t>(std::abs(static_cast<double>(v)) * by);
    ++s.histogram[std::min(bin, kBins - 1)];
  }
}

// Divergence of the histogram's first `bins`, with the rest in the last of them, from its form in
// `levels` steps.
double divergence(const std::vector<int64_t>& histogram, size_t bins, size_t levels) {
  std::vector<double> p(histogram.begin(), histogram.begin() + static_cast<ptrdiff_t>(bins));
  const std::vector<double> kept = p;
  for (size_t i = bins; i < histogram.size(); ++i) p[bins - 1] += static_cast<double>(histogram[i]);
  std::vector<double> q(bins, 0);
  for (size_t level = 0; level < levels; ++level) {
    const size_t begin = level * bins / levels, end = (level + 1) * bins / levels;
    double sum = 0;
    size_t used = 0;
    for (size_t i = begin; i < end; ++i) sum += kept[i], used += p[i] > 0;
    for (size_t i = begin; i < end; ++i)
      if (p[i] > 0) q[i] = sum / static_cast<double>(used);
  }
  double p_sum = 0, q_sum = 0, result = 0;
  for (size_t i = 0; i < bins; ++i) p_sum += p[i], q_sum += q[i];
  if (p_sum == 0 || q_sum == 0) return std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < bins; ++i) {
    if (p[i] == 0) continue;
    const double a = p[i] / p_sum, b = std::max(q[i] / q_sum, 1e-9);
    result += a * std::log(a / b);
  }
  return result;
}

}  // namespace

std::vector<ValueStatistics> observe_values(const Graph& graph,
                                            std::span<const ObservedValue> values,
                                            std::span<const CalibrationSample> samples,
                                            int64_t threads) {
  if (samples.empty())
    throw Error(ErrorKind::invalid_argument,
                {.where = "calibration", .rule = "needs samples", .expected = "at least one"});
  std::vector<ValueStatistics> all(values.size());
  if (values.empty()) return all;
  Observer observer(
      std::make_shared<const Plan>(observed_graph(graph, values), PlanOptions{.threads = threads}));
  for (const CalibrationSample& sample : samples) {
    observer.run(sample);
    for (size_t i = 0; i < all.size(); ++i)
      add_range(observer.memory[i], graph.shape(values[i].value), values[i].channel_axis, all[i]);
  }
  for (size_t i = 0; i < all.size(); ++i) {
    const double places = static_cast<double>(observer.memory[i].size() * samples.size()) /
                          static_cast<double>(all[i].channel_mean.size());
    for (double& mean : all[i].channel_mean) mean /= places;
    all[i].histogram.assign(kBins, 0);
  }
  for (const CalibrationSample& sample : samples) {
    observer.run(sample);
    for (size_t i = 0; i < all.size(); ++i) add_histogram(observer.memory[i], all[i]);
  }
  return all;
}

double choose_threshold(const ValueStatistics& s, Calibration calibration, double percentile,
                        int levels) {
  const double largest = s.largest();
  if (calibration == Calibration::min_max || largest == 0 || s.histogram.empty()) return largest;
  const auto bins = s.histogram.size();
  const auto edge = [&](size_t count) {
    return largest * static_cast<double>(count) / static_cast<double>(bins);
  };
  if (calibration == Calibration::percentile) {
    int64_t total = 0, below = 0;
    for (const int64_t n : s.histogram) total += n;
    for (size_t i = 0; i < bins; ++i) {
      below += s.histogram[i];
      if (static_cast<double>(below) >= percentile / 100 * static_cast<double>(total))
        return edge(i + 1);
    }
    return largest;
  }
  size_t best = bins;
  double least = std::numeric_limits<double>::infinity();
  for (auto count = static_cast<size_t>(levels); count <= bins; count += 16) {
    const double d = divergence(s.histogram, count, static_cast<size_t>(levels));
    if (d < least) least = d, best = count;
  }
  return edge(best);
}

}  // namespace residua
