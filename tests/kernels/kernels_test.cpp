// The kernels against plain loops in double precision, with every instruction set that this machine
// has.

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <bit>
#include <cmath>
#include <vector>

#include "residua/core/random.h"
#include "residua/kernels/batch_norm.h"
#include "residua/kernels/optimizer_step.h"

namespace residua::kernels {
namespace {

class EveryTarget : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override { hwy::SetSupportedTargetsForTest(GetParam()); }
  void TearDown() override { hwy::SetSupportedTargetsForTest(0); }
};

INSTANTIATE_TEST_SUITE_P(Targets, EveryTarget, testing::ValuesIn([] {
                           std::vector<int64_t> targets;
                           for (int64_t rest = hwy::SupportedTargets() & HWY_TARGETS; rest != 0;
                                rest &= rest - 1)
                             targets.push_back(rest & ~(rest - 1));
                           return targets;
                         }()),
                         [](const auto& info) { return std::string(hwy::TargetName(info.param)); });

std::vector<float> random_floats(int64_t n, uint64_t seed, double offset = 0) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = static_cast<float>(random.normal() + offset);
  return values;
}

float to_float(float v) { return v; }
float to_float(Bf16 v) { return std::bit_cast<float>(static_cast<uint32_t>(v.bits) << 16); }

template <class T>
std::vector<T> converted(const std::vector<float>& values);
template <>
std::vector<float> converted<float>(const std::vector<float>& values) {
  return values;
}
template <>
std::vector<Bf16> converted<Bf16>(const std::vector<float>& values) {
  std::vector<Bf16> out;
  for (const float v : values)
    out.push_back({static_cast<uint16_t>(std::bit_cast<uint32_t>(v) >> 16)});
  return out;
}

// Round-off of the stored result, relative to 1.
template <class T>
constexpr double kStored = sizeof(T) == 4 ? 1e-6 : 4e-3;

struct Matrix {
  int64_t rows, channels;
};
constexpr Matrix kMatrices[] = {{1, 1},    {2, 3},   {7, 16},  {600, 17},
                                {1100, 1}, {33, 64}, {5, 200}, {40, 95}};

template <class T>
void check_moments(const Matrix& m) {
  const auto x = converted<T>(random_floats(m.rows * m.channels, 1, 50));
  const std::vector<float> pivot(static_cast<size_t>(m.channels), 49.5f);
  std::vector<double> sum(pivot.size(), 1.0), square(pivot.size(), 2.0);
  column_moments(x.data(), m.rows, m.channels, pivot.data(), sum.data(), square.data());
  for (int64_t c = 0; c < m.channels; ++c) {
    double s = 1, q = 2;
    for (int64_t r = 0; r < m.rows; ++r) {
      const double v = static_cast<double>(to_float(x[r * m.channels + c])) - 49.5;
      s += v;
      q += v * v;
    }
    EXPECT_NEAR(sum[c], s, 1e-5 * static_cast<double>(m.rows)) << m.rows << "x" << m.channels;
    EXPECT_NEAR(square[c], q, 1e-5 * q) << m.rows << "x" << m.channels;
  }
}

TEST_P(EveryTarget, ColumnMoments) {
  for (const Matrix& m : kMatrices) {
    check_moments<float>(m);
    check_moments<Bf16>(m);
  }
}

template <class T>
void check_scale_shift(const Matrix& m, bool with_residual, bool relu) {
  const int64_t n = m.rows * m.channels;
  const auto x = converted<T>(random_floats(n, 1)), residual = converted<T>(random_floats(n, 2));
  const auto scale = random_floats(m.channels, 3), shift = random_floats(m.channels, 4);
  std::vector<T> y(static_cast<size_t>(n + 1), T{});
  scale_shift(x.data(), with_residual ? residual.data() : nullptr, y.data(), m.rows, m.channels,
              scale.data(), shift.data(), relu);
  for (int64_t i = 0; i < n; ++i) {
    const size_t c = static_cast<size_t>(i % m.channels);
    double expected = static_cast<double>(to_float(x[i])) * scale[c] + shift[c];
    if (with_residual) expected += to_float(residual[i]);
    if (relu) expected = std::max(expected, 0.0);
    ASSERT_NEAR(to_float(y[i]), expected, kStored<T> * (1 + std::abs(expected)))
        << m.rows << "x" << m.channels;
  }
  EXPECT_EQ(to_float(y.back()), 0) << "wrote beyond the end";
}

TEST_P(EveryTarget, ScaleShift) {
  for (const Matrix& m : kMatrices)
    for (const bool residual : {false, true})
      for (const bool relu : {false, true}) {
        check_scale_shift<float>(m, residual, relu);
        check_scale_shift<Bf16>(m, residual, relu);
      }
}

template <class T>
void check_backward(const Matrix& m, ReluKind kind) {
  const int64_t n = m.rows * m.channels;
  const auto dy = converted<T>(random_floats(n, 1)), x = converted<T>(random_floats(n, 2)),
             y = converted<T>(random_floats(n, 3));
  const auto mean = random_floats(m.channels, 4), scale = random_floats(m.channels, 5),
             shift = random_floats(m.channels, 6);
  const ReluMask<T> mask{kind, y.data(), scale.data(), shift.data()};
  const auto gradient = [&](int64_t i) {
    const size_t c = static_cast<size_t>(i % m.channels);
    const double out =
        kind == ReluKind::output ? to_float(y[i]) : std::fma(to_float(x[i]), scale[c], shift[c]);
    return kind == ReluKind::none || out > 0 ? static_cast<double>(to_float(dy[i])) : 0.0;
  };
  std::vector<double> sum(mean.size(), 0.0), product(mean.size(), 0.0);
  std::vector<T> masked(static_cast<size_t>(n)), dx(static_cast<size_t>(n));
  batch_norm_backward_sums(dy.data(), x.data(), masked.data(), m.rows, m.channels, mean.data(),
                           mask, sum.data(), product.data());
  batch_norm_backward_input(dy.data(), x.data(), dx.data(), m.rows, m.channels, mean.data(), mask,
                            {scale.data(), shift.data(), mean.data()});
  std::vector<double> expected_sum(mean.size(), 0.0), expected_product(mean.size(), 0.0);
  for (int64_t i = 0; i < n; ++i) {
    const size_t c = static_cast<size_t>(i % m.channels);
    const double g = gradient(i), centred = static_cast<double>(to_float(x[i])) - mean[c];
    expected_sum[c] += g;
    expected_product[c] += g * centred;
    ASSERT_EQ(to_float(masked[i]), static_cast<float>(g))
        << m.rows << "x" << m.channels << " at " << i;
    const double d = scale[c] * g + shift[c] * centred + mean[c];
    ASSERT_NEAR(to_float(dx[i]), d, kStored<T> * (1 + std::abs(d) + std::abs(scale[c] * g)));
  }
  for (size_t c = 0; c < mean.size(); ++c) {
    EXPECT_NEAR(sum[c], expected_sum[c], 2e-6 * static_cast<double>(m.rows));
    EXPECT_NEAR(product[c], expected_product[c], 1e-5 * static_cast<double>(m.rows));
  }
}

TEST_P(EveryTarget, BatchNormBackward) {
  for (const Matrix& m : kMatrices)
    for (const int kind : {0, 1, 2}) {
      check_backward<float>(m, static_cast<ReluKind>(kind));
      check_backward<Bf16>(m, static_cast<ReluKind>(kind));
    }
}

TEST_P(EveryTarget, Bfloat16RoundsToNearestEvenAndKeepsNotANumber) {
  // 1 + 2^-8 lies between 1 and 1 + 2^-7: ties go to the even one. Then just above the tie, and the
  // odd neighbour's tie.
  const std::vector<float> values{1.00390625f,   1.00390637f, 1.01171875f, -1.00390625f,
                                  std::nanf(""), INFINITY,    3.4e38f};
  const std::vector<float> expected{1.0f, 1.0078125f, 1.015625f, -1.0f, 0, INFINITY, INFINITY};
  const Bf16 zero[1]{{0}};
  for (size_t i = 0; i < values.size(); ++i) {
    const float scale = 0;
    Bf16 y[1];
    scale_shift(zero, static_cast<const Bf16*>(nullptr), y, 1, 1, &scale, &values[i], false);
    if (std::isnan(values[i])) {
      EXPECT_TRUE(std::isnan(to_float(y[0])));
    } else {
      EXPECT_EQ(to_float(y[0]), expected[i]) << values[i];
    }
  }
}

TEST_P(EveryTarget, SgdStepEqualsPlainLoop) {
  for (const int64_t n : {1, 15, 16, 100, 4097})
    for (const bool nesterov : {false, true})
      for (const bool first : {false, true}) {
        const SgdStep step{.lr = 0.1f,
                           .momentum = 0.9f,
                           .weight_decay = 0.01f,
                           .nesterov = nesterov,
                           .first = first};
        auto p = random_floats(n, 1), b = random_floats(n, 2);
        const auto g = random_floats(n, 3), p0 = p, b0 = b;
        sgd_step(p.data(), g.data(), b.data(), n, step);
        for (int64_t i = 0; i < n; ++i) {
          const double d = g[i] + 0.01 * p0[i], m = first ? d : 0.9 * b0[i] + d,
                       move = nesterov ? d + 0.9 * m : m;
          ASSERT_NEAR(b[i], m, 1e-6 * (1 + std::abs(m)));
          ASSERT_NEAR(p[i], p0[i] - 0.1 * move, 1e-6 * (1 + std::abs(p0[i])));
        }
      }
}

TEST_P(EveryTarget, AStepDoesNotDependOnWhereItsArrayIsCut) {
  const int64_t n = 1003;
  auto whole = random_floats(n, 1), parts = whole;
  const auto g = random_floats(n, 2);
  std::vector<float> m1(n, 0.5f), v1(n, 0.25f), m2 = m1, v2 = v1;
  const AdamWStep step{0.999f, 0.9f, 0.1f, 0.99f, 0.01f, 0.01f, 0.5f, 1e-8f};
  adamw_step(whole.data(), g.data(), m1.data(), v1.data(), n, step);
  for (int64_t at = 0, length = 1; at < n;
       at += length, length = std::min<int64_t>(length + 6, n - at))
    adamw_step(parts.data() + at, g.data() + at, m2.data() + at, v2.data() + at,
               std::min(length, n - at), step);
  EXPECT_EQ(whole, parts);
  EXPECT_EQ(m1, m2);
  EXPECT_EQ(v1, v2);
}

TEST_P(EveryTarget, SumOfSquares) {
  for (const int64_t n : {0, 1, 15, 64, 5000}) {
    const auto v = random_floats(n, 1, 3);
    double expected = 0;
    for (const float x : v) expected += static_cast<double>(x) * x;
    EXPECT_NEAR(sum_of_squares(v.data(), n), expected, 1e-6 * expected) << n;
  }
}

}  // namespace
}  // namespace residua::kernels
