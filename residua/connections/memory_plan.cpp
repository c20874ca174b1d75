#include "residua/connections/memory_plan.h"

#include <algorithm>
#include <cmath>

namespace residua {

ChainSizes::ChainSizes(int64_t n)
    : state(static_cast<size_t>(n)),
      activation(state.size()),
      product(state.size()),
      transient(state.size()),
      work(state.size()) {}

namespace {

// Bytes beside what lives already, while the sites of a segment are run again and backwards.
int64_t peak_again(const PlanSegment& s, const ChainSizes& sizes) {
  int64_t stored = 0, peak = 0;
  for (const PlanSegment& part : s.parts) {
    // The state before the first part is that before the whole.
    if (part.begin != s.begin) stored += sizes.state[static_cast<size_t>(part.begin)];
    peak = std::max(peak, stored + peak_again(part, sizes));
  }
  if (!s.parts.empty()) return peak;
  for (auto i = static_cast<size_t>(s.begin); i < static_cast<size_t>(s.end); ++i) {
    stored += sizes.activation[i];
    peak = std::max(peak, stored + sizes.transient[i]);
  }
  return peak;
}

void count_runs(const PlanSegment& s, int64_t runs, std::vector<int64_t>& count) {
  if (!s.keep) ++runs;
  for (const PlanSegment& part : s.parts) count_runs(part, runs, count);
  if (!s.parts.empty()) return;
  for (int64_t i = s.begin; i < s.end; ++i) count[static_cast<size_t>(i)] = runs;
}

void split_segment(PlanSegment& s, int64_t keep) {
  if (s.size() <= 1) return;
  const int64_t parts = std::min(keep + 1, s.size());
  for (int64_t p = 0; p < parts; ++p) {
    s.parts.push_back(
        {.begin = s.begin + p * s.size() / parts, .end = s.begin + (p + 1) * s.size() / parts});
    split_segment(s.parts.back(), keep);
  }
}

MemoryPlan cut_by_budget(const ChainSizes& sizes, double budget) {
  MemoryPlan plan;
  int64_t begin = 0, sum = 0;
  for (int64_t i = 0; i < sizes.size(); ++i) {
    sum += sizes.activation[static_cast<size_t>(i)];
    if (static_cast<double>(sum) < budget && i + 1 < sizes.size()) continue;
    plan.segments.push_back({.begin = begin, .end = i + 1});
    begin = i + 1;
    sum = 0;
  }
  return plan;
}

}  // namespace

int64_t planned_peak(const MemoryPlan& plan, const ChainSizes& sizes) {
  int64_t stored = 0, peak = 0;
  for (const PlanSegment& s : plan.segments) {
    int64_t products = 0;
    if (!s.keep) stored += sizes.state[static_cast<size_t>(s.begin)];
    for (auto i = static_cast<size_t>(s.begin); i < static_cast<size_t>(s.end); ++i) {
      if (s.keep) stored += sizes.activation[i];
      if (s.keep) peak = std::max(peak, stored + sizes.transient[i]);
      if (!s.keep && plan.keep_products) products += sizes.product[i];
    }
    // What is run again finds its products there already.
    if (!s.keep) peak = std::max(peak, stored + peak_again(s, sizes));
    stored += products;
  }
  return peak;
}

std::vector<int64_t> planned_runs(const MemoryPlan& plan, int64_t sites) {
  std::vector<int64_t> count(static_cast<size_t>(sites), 0);
  for (const PlanSegment& s : plan.segments) count_runs(s, 1, count);
  return count;
}

double planned_again(const MemoryPlan& plan, const ChainSizes& sizes) {
  const std::vector<int64_t> runs = planned_runs(plan, sizes.size());
  double again = 0;
  for (size_t i = 0; i < runs.size(); ++i)
    again += static_cast<double>(runs[i] - 1) * sizes.work[i];
  return again;
}

MemoryPlan uniform_plan(int64_t n, int64_t length) {
  MemoryPlan plan;
  for (int64_t begin = 0; begin < n; begin += length)
    plan.segments.push_back({.begin = begin, .end = std::min(n, begin + length)});
  return plan;
}

MemoryPlan recursive_plan(int64_t n, int64_t keep) {
  PlanSegment all{.begin = 0, .end = n};
  split_segment(all, keep);
  if (all.parts.empty()) return {.segments = {all}};
  return {.segments = all.parts};
}

MemoryPlan greedy_plan(const ChainSizes& sizes) {
  double sum = 0, largest = 0;
  for (const int64_t bytes : sizes.activation) {
    sum += static_cast<double>(bytes);
    largest = std::max(largest, static_cast<double>(bytes));
  }
  // The kept borders take about max * sum / b, a segment b: b = sqrt(sum * max) balances them.
  constexpr int kBudgets = 6;
  const double balanced = std::sqrt(sum * largest);
  MemoryPlan best;
  int64_t best_peak = -1;
  for (int i = 0; i < kBudgets; ++i) {
    const double budget = balanced * std::pow(2.0, static_cast<double>(i) / (kBudgets - 1) - 0.5);
    MemoryPlan plan = cut_by_budget(sizes, budget);
    const int64_t peak = planned_peak(plan, sizes);
    if (best_peak >= 0 && peak >= best_peak) continue;
    best = std::move(plan);
    best_peak = peak;
  }
  return best;
}

}  // namespace residua
