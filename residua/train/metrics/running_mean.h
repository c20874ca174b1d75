#pragma once
// Named means over samples, and their place in a checkpoint.

#include <string>
#include <string_view>
#include <vector>

#include "residua/core/json.h"

namespace residua {

struct Metric {
  std::string name;  // "loss", "top1"
  double value = 0;
};
using Metrics = std::vector<Metric>;  // in the order in which a task names them

// The value of a named metric; NaN when it is not there.
double metric_value(const Metrics& metrics, std::string_view name);

// Weighted means, accumulated in double precision in the order of the calls.
class RunningMeans {
 public:
  // Adds the means of `count` samples.
  void add(const Metrics& means, double count);
  void clear() { sums_.clear(); }

  Metrics means() const;
  bool empty() const { return sums_.empty(); }

  // Restores to the same bits.
  Json state() const;
  void load_state(const Json& state);

 private:
  struct Sum {
    std::string name;
    double sum = 0, count = 0;
  };
  std::vector<Sum> sums_;
};

}  // namespace residua
