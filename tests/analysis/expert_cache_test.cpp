#include "residua/analysis/expert_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "residua/core/random.h"

namespace residua {
namespace {

// The same by time stamps.
class StampedCache {
 public:
  explicit StampedCache(int64_t capacity) : capacity_(capacity) {}
  bool use(int64_t expert) {
    const bool held = stamps_.contains(expert);
    stamps_[expert] = ++now_;
    if (static_cast<int64_t>(stamps_.size()) > capacity_)
      stamps_.erase(std::ranges::min_element(stamps_, {}, [](const auto& s) { return s.second; }));
    return held;
  }
  bool holds(int64_t expert) const { return stamps_.contains(expert); }

 private:
  int64_t capacity_, now_ = 0;
  std::map<int64_t, int64_t> stamps_;
};

TEST(ExpertCache, EqualsOneOfTimeStamps) {
  Random random(1);
  for (const int64_t capacity : {1, 3, 7}) {
    ExpertCache cache(capacity);
    StampedCache reference(capacity);
    for (int i = 0; i < 2000; ++i) {
      const int64_t expert = random.integer(0, 10);
      ASSERT_EQ(cache.use(expert), reference.use(expert)) << capacity << " " << i;
      for (int64_t e = 0; e < 10; ++e) ASSERT_EQ(cache.holds(e), reference.holds(e));
    }
  }
}

TEST(ExpertLoads, PerfectPredictionsHideTheLoads) {
  std::vector<ExpertStep> steps;
  for (int64_t i = 0; i < 50; ++i) steps.push_back({{i % 10}, {i % 10}});
  const ExpertLoads hidden = simulate_experts(steps, {.capacity = 2});
  EXPECT_EQ(hidden.hits, 50);
  EXPECT_EQ(hidden.loads, 50);
  EXPECT_DOUBLE_EQ(hidden.time, 50);
  for (ExpertStep& step : steps) step.predicted.clear();
  const ExpertLoads waits = simulate_experts(steps, {.capacity = 2});
  EXPECT_EQ(waits.hits, 0);
  EXPECT_DOUBLE_EQ(waits.time, 100);
}

TEST(ExpertLoads, OnlyWhatArrivesInTimeIsLoadedAhead) {
  const std::vector<ExpertStep> steps{{{0, 1, 2}, {0, 1, 2}}};
  const ExpertLoads loads = simulate_experts(steps, {.capacity = 4, .load_time = 1, .ahead = 2});
  EXPECT_EQ(loads.hits, 2);
  EXPECT_EQ(loads.loads, 3);
  EXPECT_DOUBLE_EQ(loads.time, 2);  // one load and the computation
  EXPECT_DOUBLE_EQ(loads.hit_rate(), 2.0 / 3);
}

TEST(ExpertLoads, WrongPredictionsPushOthersOut) {
  // Experts 0 and 1 fill the cache; predicting 2 in vain costs expert 0.
  const std::vector<ExpertStep> steps{{{}, {0, 1}}, {{2}, {1}}, {{}, {0}}};
  EXPECT_EQ(simulate_experts(steps, {.capacity = 2}).hits, 1);
  EXPECT_EQ(simulate_experts({steps[0], {{}, {1}}, steps[2]}, {.capacity = 2}).hits, 2);
}

}  // namespace
}  // namespace residua
