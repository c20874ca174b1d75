#include "residua/analysis/expert_cache.h"

#include <algorithm>

namespace residua {

bool ExpertCache::holds(int64_t expert) const {
  return std::find(experts_.begin(), experts_.end(), expert) != experts_.end();
}

bool ExpertCache::use(int64_t expert) {
  const auto found = std::find(experts_.begin(), experts_.end(), expert);
  if (found != experts_.end()) {
    experts_.splice(experts_.begin(), experts_, found);
    return true;
  }
  experts_.push_front(expert);
  if (static_cast<int64_t>(experts_.size()) > capacity_) experts_.pop_back();
  return false;
}

ExpertLoads simulate_experts(const std::vector<ExpertStep>& steps, const ExpertSettings& s) {
  ExpertLoads result;
  ExpertCache cache(s.capacity);
  for (const ExpertStep& step : steps) {
    double free_time = s.compute_time * static_cast<double>(s.ahead);
    for (const int64_t expert : step.predicted) {
      if (!cache.holds(expert)) {
        if (free_time < s.load_time) continue;  // would not arrive in time
        free_time -= s.load_time;
        ++result.loads;
      }
      cache.use(expert);
    }
    for (const int64_t expert : step.needed) {
      ++result.needed;
      if (cache.use(expert)) {
        ++result.hits;
      } else {
        ++result.loads;
        result.time += s.load_time;
      }
    }
    result.time += s.compute_time;
  }
  return result;
}

}  // namespace residua
