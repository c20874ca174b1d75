#include "residua/train/metrics/running_mean.h"

#include <algorithm>
#include <limits>

namespace residua {

double metric_value(const Metrics& metrics, std::string_view name) {
  const auto found =
      std::find_if(metrics.begin(), metrics.end(), [&](const Metric& m) { return m.name == name; });
  return found == metrics.end() ? std::numeric_limits<double>::quiet_NaN() : found->value;
}

void RunningMeans::add(const Metrics& means, double count) {
  for (const Metric& metric : means) {
    auto found = std::find_if(sums_.begin(), sums_.end(),
                              [&](const Sum& s) { return s.name == metric.name; });
    if (found == sums_.end()) found = sums_.insert(sums_.end(), {metric.name, 0, 0});
    found->sum += metric.value * count;
    found->count += count;
  }
}

Metrics RunningMeans::means() const {
  Metrics result;
  for (const Sum& s : sums_) result.push_back({s.name, s.sum / s.count});
  return result;
}

Json RunningMeans::state() const {
  Json state = Json::array();
  for (const Sum& s : sums_) state.push_back({s.name, s.sum, s.count});
  return state;
}

void RunningMeans::load_state(const Json& state) {
  sums_.clear();
  for (const Json& s : state)
    sums_.push_back({s.at(0).get<std::string>(), s.at(1).get<double>(), s.at(2).get<double>()});
}

}  // namespace residua
