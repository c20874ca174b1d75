#include "residua/core/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

#include "residua/core/error.h"

namespace residua {
namespace {

constexpr int kDraws = 200000;

struct Moments {
  double mean = 0, variance = 0;
};

Moments moments(const std::function<double()>& draw) {
  double sum = 0, squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = draw();
    sum += x;
    squares += x * x;
  }
  const double mean = sum / kDraws;
  return {mean, squares / kDraws - mean * mean};
}

// Kolmogorov-Smirnov statistic against a distribution function, times sqrt(n): above 1.95 once in a
// thousand seeds.
double ks_statistic(const std::function<double()>& draw, const std::function<double(double)>& cdf) {
  std::vector<double> x(kDraws);
  std::generate(x.begin(), x.end(), draw);
  std::sort(x.begin(), x.end());
  double most = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double f = cdf(x[i]);
    most = std::max({most, f - static_cast<double>(i) / kDraws, (i + 1.0) / kDraws - f});
  }
  return most * std::sqrt(kDraws);
}

// Vectors of the authors' reference implementation.
TEST(Random, IsSplitMix64) {
  Random random(1234567);
  for (const uint64_t expected : {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
                                  4593380528125082431u, 16408922859458223821u})
    EXPECT_EQ(random.bits(), expected);
  EXPECT_EQ(Random(0).bits(), 0xE220A8397B1DCDAFu);
}

TEST(Random, HashIsFnv1a) {
  EXPECT_EQ(fnv1a64(""), 0xcbf29ce484222325u);
  EXPECT_EQ(fnv1a64("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(fnv1a64("foobar"), 0x85944171f73967e8u);
}

TEST(Random, StateRestores) {
  Random random(9);
  random.normal();
  const uint64_t state = random.state();
  const double next = random.uniform();
  Random other(0);
  other.set_state(state);
  EXPECT_EQ(other.uniform(), next);
}

TEST(Random, SplitsAreIndependentAndDoNotAdvance) {
  const Random root(42);
  std::set<uint64_t> firsts{Random(root).bits()};
  for (uint64_t i = 0; i < 1000; ++i) firsts.insert(root.split(i).bits());
  for (const char* name : {"weights", "shuffle", "", "a", "b"})
    firsts.insert(root.split(name).bits());
  EXPECT_EQ(firsts.size(), 1006u);
  EXPECT_EQ(root.state(), Random(42).state());
  EXPECT_NE(root.split("a").split("b").bits(), root.split("b").split("a").bits());
  // Neighbouring streams are uncorrelated: 200,000 products of centred uniforms have mean 0 with
  // deviation 1/12/sqrt(n).
  double sum = 0;
  for (int i = 0; i < kDraws; ++i)
    sum += (root.split(i).uniform() - 0.5) * (root.split(i + 1).uniform() - 0.5);
  EXPECT_LT(std::abs(sum / kDraws), 4.0 / 12 / std::sqrt(kDraws));
}

TEST(Random, UniformIsUniform) {
  Random random(1);
  EXPECT_LT(ks_statistic([&] { return random.uniform(); }, [](double x) { return x; }), 1.95);
  for (int i = 0; i < 10000; ++i) {
    const double x = random.uniform(-2, 5);
    EXPECT_TRUE(x >= -2 && x < 5);
  }
}

TEST(Random, UniformNeverReachesItsEnd) {
  const double high =
      std::nextafter(1.0, 2.0);  // one step above `low`: rounding would give `high` half the time
  Random random(2);
  for (int i = 0; i < 100; ++i) EXPECT_LT(random.uniform(1, high), high);
}

TEST(Random, IntegersAreUnbiased) {
  Random random(3);
  std::array<int, 7> counts{};
  for (int i = 0; i < kDraws; ++i) ++counts.at(random.integer(-3, 4) + 3);
  double chi_squared = 0;
  const double expected = kDraws / 7.0;
  for (const int count : counts) chi_squared += (count - expected) * (count - expected) / expected;
  EXPECT_LT(chi_squared, 22.46);  // 6 degrees of freedom, p = 0.001
}

TEST(Random, IntegersSpanTheWholeRange) {
  Random random(4);
  constexpr auto low = std::numeric_limits<int64_t>::min(),
                 high = std::numeric_limits<int64_t>::max();
  bool below = false, above = false;
  for (int i = 0; i < 100; ++i) {
    const int64_t x = random.integer(low, high);
    EXPECT_LT(x, high);
    (x < 0 ? below : above) = true;
  }
  EXPECT_TRUE(below && above);
  EXPECT_EQ(random.integer(5, 6), 5);
  EXPECT_THROW(random.integer(5, 5), Error);
}

TEST(Random, NormalIsNormal) {
  Random random(5);
  EXPECT_LT(ks_statistic([&] { return random.normal(); },
                         [](double x) { return std::erfc(-x / std::sqrt(2)) / 2; }),
            1.95);
  const Moments m = moments([&] { return random.normal(); });
  EXPECT_NEAR(m.mean, 0, 4 / std::sqrt(kDraws));
  EXPECT_NEAR(m.variance, 1, 4 * std::sqrt(2.0 / kDraws));
}

TEST(Random, GammaOfShapeOneIsExponential) {
  Random random(6);
  EXPECT_LT(
      ks_statistic([&] { return random.gamma(1); }, [](double x) { return 1 - std::exp(-x); }),
      1.95);
}

TEST(Random, GammaOfShapeOneHalfIsHalfASquaredNormal) {
  Random random(7);
  EXPECT_LT(ks_statistic([&] { return random.gamma(0.5); },
                         [](double x) { return std::erf(std::sqrt(x)); }),
            1.95);
}

TEST(Random, GammaHasMeanAndVarianceOfItsShape) {
  Random random(8);
  for (const double shape : {0.2, 2.5, 30.0}) {
    const Moments m = moments([&] { return random.gamma(shape); });
    EXPECT_NEAR(m.mean, shape, 5 * std::sqrt(shape / kDraws));
    EXPECT_NEAR(m.variance, shape, 5 * std::sqrt((2 * shape * shape + 6 * shape) / kDraws));
  }
  for (const double shape : {0.0, -1.0, std::nan("")}) EXPECT_THROW(random.gamma(shape), Error);
}

TEST(Random, BetaFollowsItsClosedForms) {
  Random random(9);
  EXPECT_LT(ks_statistic([&] { return random.beta(1, 1); }, [](double x) { return x; }), 1.95);
  EXPECT_LT(ks_statistic([&] { return random.beta(3, 1); }, [](double x) { return x * x * x; }),
            1.95);
  EXPECT_LT(ks_statistic([&] { return random.beta(0.5, 0.5); },
                         [](double x) { return 2 / std::numbers::pi * std::asin(std::sqrt(x)); }),
            1.95);
}

TEST(Random, BetaOfTinyShapesIsStillANumber) {
  Random random(10);
  int ones = 0;
  for (int i = 0; i < 10000; ++i) {
    const double x = random.beta(0.001, 0.001);
    ASSERT_TRUE(x >= 0 && x <= 1) << x;
    ones += x > 0.5;
  }
  EXPECT_NEAR(ones, 5000, 250);
}

TEST(Random, BernoulliHasItsProbability) {
  Random random(11);
  int hits = 0;
  for (int i = 0; i < kDraws; ++i) hits += random.bernoulli(0.3);
  EXPECT_NEAR(hits, 0.3 * kDraws, 4 * std::sqrt(0.21 * kDraws));
  EXPECT_FALSE(random.bernoulli(0));
  EXPECT_TRUE(random.bernoulli(1));
}

TEST(Random, ShufflesAreEquallyLikely) {
  Random random(12);
  std::array<int, 24> counts{};
  for (int i = 0; i < 48000; ++i) {
    std::vector<int> items{0, 1, 2, 3};
    random.shuffle(items);
    int rank = 0;  // Lehmer code
    for (int a = 0; a < 4; ++a)
      rank = rank * (4 - a) + static_cast<int>(std::count_if(items.begin() + a, items.end(),
                                                             [&](int x) { return x < items[a]; }));
    ++counts.at(rank);
  }
  double chi_squared = 0;
  for (const int count : counts) chi_squared += (count - 2000.0) * (count - 2000.0) / 2000;
  EXPECT_LT(chi_squared, 49.73);  // 23 degrees of freedom, p = 0.001
}

}  // namespace
}  // namespace residua
