#pragma once
// Which activations of a chain of sites are kept for backward and which are computed again:
// "Training Deep Nets with Sublinear Memory Cost" (Chen, Xu, Zhang, Guestrin 2016,
// arXiv:1604.06174). Free of libtorch.

#include <cstdint>
#include <memory>
#include <vector>

#include "residua/core/registry.h"

namespace residua {

// Sites [begin, end). A segment that is not kept leaves only the state before it; backward runs it
// again, all at once or, where it has parts, part by part.
struct PlanSegment {
  int64_t begin = 0, end = 0;
  bool keep = false;
  std::vector<PlanSegment> parts = {};

  int64_t size() const { return end - begin; }
};

struct MemoryPlan {
  std::vector<PlanSegment> segments = {};  // one behind the other, all sites
  bool keep_products = false;  // of convolutions and linear layers, in segments that are not kept
};

// Bytes of a chain of n sites; each vector has n numbers.
struct ChainSizes {
  std::vector<int64_t> state = {};       // of the state before the site
  std::vector<int64_t> activation = {};  // that the site allocates for backward, its output too
  std::vector<int64_t> product = {};     // of its convolutions and linear layers
  std::vector<int64_t> transient = {};   // beyond these while it runs forwards or backwards
  std::vector<double> work = {};         // of one forward, in any unit

  explicit ChainSizes(int64_t n = 0);
  int64_t size() const { return static_cast<int64_t>(state.size()); }
};

// The most bytes that live at once for backward, transient ones among them.
int64_t planned_peak(const MemoryPlan& plan, const ChainSizes& sizes);
// How often the plan runs each site forwards.
std::vector<int64_t> planned_runs(const MemoryPlan& plan, int64_t sites);
// Work that the plan does again.
double planned_again(const MemoryPlan& plan, const ChainSizes& sizes);

// Cuts [0, n) into segments of `length`, the last one shorter.
MemoryPlan uniform_plan(int64_t n, int64_t length);

// The recursion g(n) = keep + g(n / (keep + 1)) of section 4.3: parts of parts, down to single
// sites.
MemoryPlan recursive_plan(int64_t n, int64_t keep);

// Algorithm 3: a segment ends where its activations exceed a budget; of budgets around
// sqrt(sum * max) the one with the smallest peak.
MemoryPlan greedy_plan(const ChainSizes& sizes);

// The plan of one level with the least work done again among those whose peak is at most `bytes`.
// Exact. Throws ErrorKind::limit with the smallest peak when there is none.
MemoryPlan budget_plan(const ChainSizes& sizes, int64_t bytes);

class MemoryPlanner {
 public:
  virtual ~MemoryPlanner() = default;
  virtual MemoryPlan plan(const ChainSizes& sizes) const = 0;
  // Whether the plan depends on more than the number of sites.
  virtual bool needs_sizes() const { return false; }
};

// none, sqrt, greedy, budget, recursive, selective.
Registry<MemoryPlanner>& memory_planners();

}  // namespace residua
