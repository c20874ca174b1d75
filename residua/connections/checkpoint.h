#pragma once
// Runs a chain of sites as a memory plan says ("Training Deep Nets with Sublinear Memory Cost",
// arXiv:1604.06174). Gradients equal those of ordinary training to the bit: what is run again draws
// the same random numbers, under the same autocast mode, and leaves running statistics as they are.
//
//   State state = run_planned(plan, connection.begin(x0), step);   // instead of the plain loop
//
// The chain need not be a network's depth: the time steps of an unrolled LSTM are one as well.

#include <map>
#include <memory>

#include "residua/connections/connection.h"
#include "residua/connections/memory_plan.h"

namespace residua {

// The state after site i. It is called again during backward: it must hold all that it needs, and
// depend on nothing but the state, parameters and libtorch's generators.
using ChainStep = std::function<State(int64_t i, State state)>;

State run_planned(const MemoryPlan& plan, State state, const ChainStep& step);

// What a chain costs, by running every site forwards and backwards once, on its own. Leaves
// gradients, generators and running statistics as they are. CPU only: elsewhere all bytes but those
// of states are 0.
ChainSizes measure_chain(int64_t sites, State state, const ChainStep& step);

// Plans once for each size of the input, then runs as planned.
class StreamMemory {
 public:
  explicit StreamMemory(std::shared_ptr<const MemoryPlanner> planner)
      : planner_(std::move(planner)) {}

  State run(int64_t sites, State state, const ChainStep& step);

  struct Planned {
    ChainSizes sizes;  // all 0 where the planner does not need them
    MemoryPlan plan;
  };
  const Planned& last() const { return *last_; }  // of the last run

 private:
  std::shared_ptr<const MemoryPlanner> planner_;
  std::map<std::vector<int64_t>, Planned> plans_;  // by sites, type and size of the state
  const Planned* last_ = nullptr;
};

}  // namespace residua
