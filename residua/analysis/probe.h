#pragma once
// A probe looks at a network or a method and returns numbers and curves; a recipe runs probes by
// name, claims speak about their metrics, and the gallery draws their series.
//
//   ProbeResult run(const ProbeContext& c) override {
//     ...
//     return {.metrics = {{"ratio", ratio}}, .series = {{.name = "variance", .x = depth,
//             .measured = variance, .predicted = formula}}};
//   }

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "residua/core/random.h"
#include "residua/core/registry.h"

namespace residua {

// A curve; vectors are empty or as long as x.
struct Series {
  std::string name;
  std::string x_label = {}, y_label = {};
  bool log_x = false, log_y = false;
  std::vector<double> x = {};
  std::vector<double> measured = {};
  std::vector<double> predicted = {};  // by theory
  std::vector<double> low = {}, high = {};
};

struct ProbeResult {
  std::vector<std::pair<std::string, double>> metrics = {};
  std::vector<Series> series = {};
};

struct ProbeContext {
  Random random;  // of the seed that the recipe asks for
  std::string weights =
      {};  // run or file of weights where the recipe names a trained job; empty: none
  Json configuration = {};  // of that job, as `residua train` takes it
};

class Probe {
 public:
  virtual ~Probe() = default;
  virtual ProbeResult run(const ProbeContext& context) = 0;
};

// Every probe by name; the options are the probe's own.
Registry<Probe>& probes();

}  // namespace residua
