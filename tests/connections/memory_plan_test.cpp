// Plans of what is kept for backward, against brute force over all plans.
#include "residua/connections/memory_plan.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "residua/core/error.h"
#include "residua/core/random.h"

namespace residua {
namespace {

ChainSizes random_chain(int64_t n, Random random) {
  ChainSizes sizes(n);
  for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
    sizes.state[i] = random.integer(1, 40);
    sizes.activation[i] = sizes.state[i] + random.integer(0, 100);
    sizes.transient[i] = random.integer(0, 30);
    sizes.work[i] = static_cast<double>(random.integer(1, 50));
  }
  return sizes;
}

// Every way to cut the chain, and to keep or run again each piece.
void for_each_plan(int64_t n, const std::function<void(const MemoryPlan&)>& visit) {
  for (uint64_t cuts = 0; cuts < (uint64_t{1} << (n - 1)); ++cuts) {
    MemoryPlan plan;
    int64_t begin = 0;
    for (int64_t i = 1; i <= n; ++i) {
      if (i < n && (cuts >> (i - 1) & 1) == 0) continue;
      plan.segments.push_back({.begin = begin, .end = i});
      begin = i;
    }
    for (uint64_t kept = 0; kept < (uint64_t{1} << plan.segments.size()); ++kept) {
      for (size_t s = 0; s < plan.segments.size(); ++s)
        plan.segments[s].keep = (kept >> s & 1) != 0;
      visit(plan);
    }
  }
}

// Simulates forward and backward by the events that happen to memory; knows nothing of the formula.
int64_t simulated_peak(const MemoryPlan& plan, const ChainSizes& sizes) {
  int64_t live = 0, peak = 0;
  const auto grow = [&](int64_t bytes) {
    live += bytes;
    peak = std::max(peak, live);
  };
  const auto at = [](int64_t i) { return static_cast<size_t>(i); };
  for (const PlanSegment& s : plan.segments) {
    if (!s.keep) grow(sizes.state[at(s.begin)]);
    for (int64_t i = s.begin; s.keep && i < s.end; ++i) {
      grow(sizes.activation[at(i)]);
      grow(sizes.transient[at(i)]);
      live -= sizes.transient[at(i)];
    }
  }
  for (auto s = plan.segments.rbegin(); s != plan.segments.rend(); ++s) {
    for (int64_t i = s->begin; !s->keep && i < s->end; ++i) {
      grow(sizes.activation[at(i)]);
      grow(sizes.transient[at(i)]);
      live -= sizes.transient[at(i)];
    }
    for (int64_t i = s->end; i-- > s->begin;) {
      grow(sizes.transient[at(i)]);
      live -= sizes.transient[at(i)] + sizes.activation[at(i)];
    }
    if (!s->keep) live -= sizes.state[at(s->begin)];
  }
  EXPECT_EQ(live, 0);
  return peak;
}

TEST(MemoryPlan, PeakIsThatOfASimulation) {
  const ChainSizes sizes = random_chain(7, Random(1));
  for_each_plan(7, [&](const MemoryPlan& plan) {
    EXPECT_EQ(planned_peak(plan, sizes), simulated_peak(plan, sizes));
  });
}

TEST(MemoryPlan, BudgetIsExact) {
  for (const int64_t n : {1, 2, 5, 8, 11}) {
    for (uint64_t seed = 0; seed < (n > 8 ? 1u : 3u); ++seed) {
      const ChainSizes sizes = random_chain(n, Random(seed).split(static_cast<uint64_t>(n)));
      std::vector<std::pair<int64_t, double>> all;  // peak and work
      for_each_plan(n, [&](const MemoryPlan& plan) {
        all.emplace_back(planned_peak(plan, sizes), planned_again(plan, sizes));
      });
      const auto [low, high] = std::minmax_element(all.begin(), all.end());
      for (int part = 0; part <= 6; ++part) {
        const int64_t bytes = low->first + (high->first - low->first) * part / 6;
        double best = std::numeric_limits<double>::infinity();
        for (const auto& [peak, work] : all)
          if (peak <= bytes) best = std::min(best, work);
        const MemoryPlan plan = budget_plan(sizes, bytes);
        EXPECT_LE(planned_peak(plan, sizes), bytes);
        EXPECT_DOUBLE_EQ(planned_again(plan, sizes), best) << n << " " << part;
      }
      try {
        budget_plan(sizes, low->first - 1);
        ADD_FAILURE() << "met a budget below the smallest peak";
      } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::limit);
        const double least = std::ceil(static_cast<double>(low->first) / 1000) / 1000;
        EXPECT_NE(std::string(e.what()).find(fmt::format("{:.3f}", least)), std::string::npos)
            << e.what();
      }
    }
  }
}

TEST(MemoryPlan, CoversEverySiteOnce) {
  const ChainSizes sizes = random_chain(23, Random(4));
  for (const std::string& name : memory_planners().list()) {
    const MemoryPlan plan = memory_planners().create(name)->plan(sizes);
    int64_t next = 0;
    for (const PlanSegment& s : plan.segments) {
      EXPECT_EQ(s.begin, next) << name;
      EXPECT_LT(s.begin, s.end) << name;
      next = s.end;
    }
    EXPECT_EQ(next, 23) << name;
  }
}

TEST(MemoryPlan, RunsAsOftenAsItsFormulaSays) {
  EXPECT_EQ(planned_runs(uniform_plan(9, 3), 9), std::vector<int64_t>(9, 2));
  EXPECT_EQ(planned_runs(memory_planners().create("none")->plan(ChainSizes(5)), 5),
            std::vector<int64_t>(5, 1));
  // g(n) = k + g(n / (k + 1)): one more run for each of log_{k+1}(n) levels.
  EXPECT_EQ(planned_runs(recursive_plan(16, 1), 16), std::vector<int64_t>(16, 5));
  EXPECT_EQ(planned_runs(recursive_plan(27, 2), 27), std::vector<int64_t>(27, 4));
}

TEST(MemoryPlan, GrowsWithTheRootOrTheLogarithm) {
  const auto peak = [](const std::string& name, int64_t n) {
    ChainSizes sizes(n);
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) sizes.state[i] = sizes.activation[i] = 1;
    return planned_peak(memory_planners().create(name)->plan(sizes), sizes);
  };
  EXPECT_EQ(peak("none", 1024), 1024);
  EXPECT_EQ(peak("sqrt", 1024), 64);
  EXPECT_EQ(peak("recursive", 1024), 12);  // the first state, one a level, one activation
  EXPECT_LE(peak("greedy", 1024), 66);
}

// The paper's budgets lie around sqrt(sum * max), the best ones where states are as big as
// activations.
TEST(MemoryPlan, GreedyIsNearTheBestUniformCut) {
  ChainSizes sizes = random_chain(200, Random(9));
  sizes.state = sizes.activation;
  const int64_t all = planned_peak({.segments = {{.begin = 0, .end = 200, .keep = true}}}, sizes);
  int64_t uniform = all;
  for (int64_t length = 1; length < 100; ++length)
    uniform = std::min(uniform, planned_peak(uniform_plan(200, length), sizes));
  EXPECT_LT(static_cast<double>(planned_peak(greedy_plan(sizes), sizes)),
            1.1 * static_cast<double>(uniform));
}

}  // namespace
}  // namespace residua
