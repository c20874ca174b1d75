#include <gtest/gtest.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/train/metrics/confusion.h"
#include "residua/train/metrics/running_mean.h"

namespace residua {
namespace {

TEST(RunningMeans, WeighsBySamples) {
  RunningMeans means;
  means.add({{"loss", 2.0}, {"top1", 1.0}}, 3);
  means.add({{"loss", 6.0}, {"top1", 0.0}}, 1);
  const Metrics result = means.means();
  ASSERT_EQ(result.size(), 2u);
  EXPECT_DOUBLE_EQ(metric_value(result, "loss"), 3.0);
  EXPECT_DOUBLE_EQ(metric_value(result, "top1"), 0.75);
  EXPECT_TRUE(std::isnan(metric_value(result, "top5")));
}

TEST(RunningMeans, StateSurvivesTextToTheBit) {
  RunningMeans means, copy;
  for (int i = 1; i < 50; ++i) means.add({{"loss", 1.0 / i}}, i % 7 + 1);
  copy.load_state(Json::parse(means.state().dump()));
  means.add({{"loss", 0.1}}, 3);
  copy.add({{"loss", 0.1}}, 3);
  EXPECT_EQ(means.means()[0].value, copy.means()[0].value);
}

TEST(ConfusionMatrix, CountsByHand) {
  ConfusionMatrix m(3);
  const int pairs[][2] = {{0, 0}, {0, 0}, {0, 1}, {1, 1}, {1, 2}, {1, 2}, {2, 2}};
  for (const auto& p : pairs) m.add(p[0], p[1]);
  EXPECT_EQ(m.total(), 7);
  EXPECT_DOUBLE_EQ(m.accuracy(), 4.0 / 7);
  EXPECT_DOUBLE_EQ(m.recall(0), 2.0 / 3);
  EXPECT_DOUBLE_EQ(m.precision(2), 1.0 / 3);
  const auto worst = m.most_confused(5);
  ASSERT_EQ(worst.size(), 2u);
  EXPECT_EQ(worst[0].label, 1);
  EXPECT_EQ(worst[0].predicted, 2);
  EXPECT_EQ(worst[0].count, 2);
}

TEST(ConfusionMatrix, EmptyClassesHaveNoRecall) {
  const ConfusionMatrix m(2);
  EXPECT_EQ(m.accuracy(), 0);
  EXPECT_EQ(m.recall(1), 0);
  EXPECT_EQ(m.precision(1), 0);
}

TEST(ConfusionMatrix, RefusesWhatIsNoClass) {
  ConfusionMatrix m(2);
  EXPECT_THROW(m.add(2, 0), Error);
  EXPECT_THROW(m.add(0, -1), Error);
}

}  // namespace
}  // namespace residua
