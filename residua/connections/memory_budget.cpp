// The least recomputation within a budget of memory, for a chain.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "residua/connections/memory_plan.h"
#include "residua/core/error.h"

namespace residua {

namespace {

// A plan of the first sites: bytes that stay when they have run, and work to be done again. Of two
// plans to the same place, one that is worse in both can be forgotten.
struct Prefix {
  int64_t stored = 0;
  double again = 0;
  int64_t last_begin = 0;  // its last segment
  bool last_kept = false;
  size_t before = 0;  // index among the prefixes at last_begin
};

using Front = std::vector<Prefix>;  // of what is not dominated, by rising bytes and falling work

void keep_undominated(Front& front) {
  std::sort(front.begin(), front.end(), [](const Prefix& a, const Prefix& b) {
    return a.stored != b.stored ? a.stored < b.stored : a.again < b.again;
  });
  Front kept;
  for (const Prefix& p : front)
    if (kept.empty() || p.again < kept.back().again) kept.push_back(p);
  front = std::move(kept);
}

// All prefixes that end before `end`, made longer by a last segment that ends there. A kept segment
// is a single site: neighbours that are kept cost what one kept segment does.
void extend(std::vector<Front>& fronts, size_t end, const ChainSizes& sizes, int64_t bytes) {
  const size_t last = end - 1;
  for (size_t i = 0; i < fronts[last].size(); ++i) {
    Prefix p = fronts[last][i];
    p.stored += sizes.activation[last];
    if (p.stored + sizes.transient[last] > bytes) continue;
    p.last_begin = static_cast<int64_t>(last);
    p.last_kept = true;
    p.before = i;
    fronts[end].push_back(p);
  }
  int64_t again = 0;  // the most bytes while the last segment is run again
  double work = 0;
  for (size_t begin = end; begin-- > 0;) {
    again = sizes.activation[begin] + std::max(sizes.transient[begin], again);
    work += sizes.work[begin];
    for (size_t i = 0; i < fronts[begin].size(); ++i) {
      Prefix p = fronts[begin][i];
      p.stored += sizes.state[begin];
      if (p.stored + again > bytes) break;  // the others store more
      p.again += work;
      p.last_begin = static_cast<int64_t>(begin);
      p.last_kept = false;
      p.before = i;
      fronts[end].push_back(p);
    }
  }
  keep_undominated(fronts[end]);
}

int64_t smallest_peak(const ChainSizes& sizes) {
  // min over plans of the peak: the smallest budget that some plan meets, by bisection.
  int64_t low = 0, high = planned_peak({.segments = {{.begin = 0, .end = sizes.size()}}}, sizes);
  while (low + 1 < high) {
    const int64_t middle = low + (high - low) / 2;
    std::vector<Front> fronts(static_cast<size_t>(sizes.size()) + 1);
    fronts[0].push_back({});
    for (size_t end = 1; end < fronts.size(); ++end) extend(fronts, end, sizes, middle);
    (fronts.back().empty() ? low : high) = middle;
  }
  return high;
}

}  // namespace

MemoryPlan budget_plan(const ChainSizes& sizes, int64_t bytes) {
  std::vector<Front> fronts(static_cast<size_t>(sizes.size()) + 1);
  fronts[0].push_back({});
  for (size_t end = 1; end < fronts.size(); ++end) extend(fronts, end, sizes, bytes);
  if (fronts.back().empty()) {
    constexpr double kMb = 1e6;
    throw Error(ErrorKind::limit,
                {.where = "memory.mb",
                 .rule = "no plan of one level needs so little",
                 .expected = fmt::format(
                     "at least {:.3f}",
                     std::ceil(static_cast<double>(smallest_peak(sizes)) / kMb * 1000) / 1000),
                 .received = fmt::format("{:.3f}", static_cast<double>(bytes) / kMb),
                 .hint = "memory=recursive needs less still"});
  }
  // The last of a front has the least work.
  std::vector<PlanSegment> reversed;
  size_t index = fronts.back().size() - 1;
  for (size_t end = fronts.size() - 1; end > 0;) {
    const Prefix& p = fronts[end][index];
    const auto end_site = static_cast<int64_t>(end);
    if (p.last_kept && !reversed.empty() && reversed.back().keep)
      reversed.back().begin = p.last_begin;
    else
      reversed.push_back({.begin = p.last_begin, .end = end_site, .keep = p.last_kept});
    end = static_cast<size_t>(p.last_begin);
    index = p.before;
  }
  return {.segments = {reversed.rbegin(), reversed.rend()}};
}

}  // namespace residua
