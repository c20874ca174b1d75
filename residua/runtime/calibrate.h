#pragma once
// The numbers that values of a graph take over sample inputs, and from them the range that eight
// bits should cover.

#include <span>
#include <vector>

#include "residua/core/options.h"
#include "residua/graph/graph.h"

namespace residua {

enum class Calibration { min_max, percentile, entropy };
template <>
struct EnumNames<Calibration> {
  static constexpr std::array names{"min_max", "percentile", "entropy"};
};

// What was seen of one value.
struct ValueStatistics {
  double min = 0, max = 0;
  std::vector<double> channel_mean;  // over all but the channels' axis
  std::vector<int64_t> histogram;    // of the absolute values, equal bins up to `largest`

  double largest() const { return std::max(-min, max); }
};

struct ObservedValue {
  ValueId value;
  int64_t channel_axis;
};

// Inputs of one run, in the graph's order, types and shapes.
using CalibrationSample = std::vector<TensorData>;

// Runs the graph in float32 over all samples, twice: for the ranges, then for the histograms.
// Throws ErrorKind::invalid_argument without samples or for one that does not fit.
std::vector<ValueStatistics> observe_values(const Graph& graph,
                                            std::span<const ObservedValue> values,
                                            std::span<const CalibrationSample> samples,
                                            int64_t threads = 0);

// The largest absolute value that is kept; larger ones saturate.
//   min_max     the largest seen
//   percentile  `percentile` of the values lie below
//   entropy     the one whose rounded histogram says most about the true one: least
//               Kullback-Leibler divergence ("8-bit inference with TensorRT", S. Migacz, GTC 2017)
double choose_threshold(const ValueStatistics& statistics, Calibration calibration,
                        double percentile, int levels);

}  // namespace residua
