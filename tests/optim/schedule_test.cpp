#include "residua/optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace residua {
namespace {

constexpr int64_t kTotal = 200, kPerEpoch = 20;

double factor(const Component& schedule, int64_t step, int64_t total = kTotal) {
  return schedules().create(schedule)->factor(step, total, kPerEpoch);
}

TEST(Schedule, WarmupRisesInALineToTheSchedule) {
  for (const char* name : {"constant", "cosine", "linear", "step"}) {
    const Component c{name, {{"warmup_epochs", 1}, {"warmup_steps", 5}, {"warmup_start", 0.2}}};
    EXPECT_DOUBLE_EQ(factor(c, 0), 0.2) << name;
    EXPECT_DOUBLE_EQ(factor(c, 10), 0.2 + 0.8 * 10 / 25) << name;
    EXPECT_DOUBLE_EQ(factor(c, 25), 1) << name;
    for (int step = 0; step < 25; ++step) EXPECT_LT(factor(c, step), factor(c, step + 1)) << name;
  }
}

TEST(Schedule, CosineEqualsItsFormula) {
  const Component c{"cosine", {{"min_factor", 0.1}, {"warmup_epochs", 2}}};
  for (const int64_t step : {40, 77, 120, 199}) {
    const double progress = static_cast<double>(step - 40) / 160;
    EXPECT_NEAR(factor(c, step), 0.1 + 0.9 * (1 + std::cos(std::numbers::pi * progress)) / 2,
                1e-12);
  }
  EXPECT_DOUBLE_EQ(factor(c, 5000), factor(c, 199));
}

TEST(Schedule, CosineEqualsPyTorch) {
  // torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10, eta_min=0.1) from 1.
  const std::array expected{
      1.0,  0.9779754323328191,  0.9140576474687263, 0.8145033635316129,  0.6890576474687263,
      0.55, 0.41094235253127376, 0.2854966364683872, 0.18594235253127372, 0.12202456766718092};
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(factor({"cosine", {{"min_factor", 0.1}}}, static_cast<int64_t>(i), 10), expected[i],
                1e-12);
}

TEST(Schedule, OneCycleEqualsPyTorch) {
  // torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1, total_steps=20, pct_start=0.3), both
  // strategies.
  const std::array<int64_t, 6> steps{0, 2, 5, 6, 11, 19};
  const std::array cosine{0.04, 0.3716718427000253, 1.0, 0.9874640062350873, 0.6112620219362893,
                          4e-06};
  const std::array linear{0.04, 0.424, 1.0, 0.9285717142857143, 0.5714302857142857, 4e-06};
  for (size_t i = 0; i < steps.size(); ++i) {
    EXPECT_NEAR(factor({"onecycle", Json::object()}, steps[i], 20), cosine[i], 1e-12) << steps[i];
    EXPECT_NEAR(factor({"onecycle", {{"anneal", "linear"}}}, steps[i], 20), linear[i], 1e-12)
        << steps[i];
  }
}

TEST(Schedule, StepFallsAtMilestones) {
  const Component c{"step", {{"milestones", {3, 6}}, {"gamma", 0.5}}};
  EXPECT_DOUBLE_EQ(factor(c, 59), 1);
  EXPECT_DOUBLE_EQ(factor(c, 60), 0.5);
  EXPECT_DOUBLE_EQ(factor(c, 119), 0.5);
  EXPECT_DOUBLE_EQ(factor(c, 120), 0.25);
}

TEST(Schedule, LinearEndsNearItsMinimum) {
  EXPECT_DOUBLE_EQ(factor("linear", 0), 1);
  EXPECT_DOUBLE_EQ(factor("linear", 100), 0.5);
  EXPECT_NEAR(factor("linear", 199), 1.0 / 200, 1e-12);
}

TEST(Schedule, EveryScheduleStaysBetweenZeroAndOneForAnyLength) {
  for (const std::string& name : schedules().list())
    for (const int64_t total : {1, 2, 3, 7, 200})
      for (int64_t step = 0; step < total + 2; ++step) {
        const double f = factor(name, step, total);
        EXPECT_TRUE(f >= 0 && f <= 1) << name << " " << step << "/" << total << ": " << f;
      }
}

}  // namespace
}  // namespace residua
