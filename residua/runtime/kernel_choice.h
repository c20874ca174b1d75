#pragma once
// Which of several kernels is the fastest here, by measurement, remembered in a file for each
// processor model and network (internal to runtime).

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "residua/graph/graph.h"
#include "residua/runtime/plan.h"

namespace residua {

class KernelChooser {
 public:
  // With KernelChoice::fixed nothing is measured, read or written.
  KernelChooser(const Graph& graph, const PlanOptions& options, int threads);

  // The place of the kernel to use among `names`, the first of which is the fixed rule's. `seconds`
  // runs one of them.
  size_t choose(const std::string& layer, const std::vector<std::string>& names,
                const std::function<double(size_t)>& seconds);

  // Writes what was measured. A folder that cannot be written is told to the log, once.
  void save() const;

 private:
  bool measured_ = false, changed_ = false;
  std::string cpu_, path_;
  std::map<std::string, std::string> choices_;
};

// The least time of several calls, after one that warms up.
double least_seconds(const std::function<void()>& call);

}  // namespace residua
