#include "residua/nn/init.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/nn/conv.h"
#include "residua/nn/linear.h"

namespace residua {
namespace {

at::Tensor normal_numbers(int64_t count, double stddev, uint64_t seed) {
  at::Tensor t = at::empty({count});
  fill_normal(t, stddev, Random(seed));
  return t;
}

TEST(Init, NormalNumbersHaveTheirMoments) {
  const int64_t count = 1000001;
  const at::Tensor x = normal_numbers(count, 0.5, 1).to(at::kDouble) / 0.5;
  // Five standard errors: 1, sqrt(2), sqrt(15) and sqrt(96) over sqrt(count) for the four moments.
  EXPECT_NEAR(x.mean().item<double>(), 0, 0.005);
  EXPECT_NEAR(x.var().item<double>(), 1, 0.0071);
  EXPECT_NEAR(x.pow(3).mean().item<double>(), 0, 0.02);
  EXPECT_NEAR(x.pow(4).mean().item<double>(), 3, 0.05);
  EXPECT_NEAR((x.slice(0, 0, count - 1) * x.slice(0, 1)).mean().item<double>(), 0, 0.005);
  EXPECT_NEAR((x.abs() > 1.959964).to(at::kDouble).mean().item<double>(), 0.05, 0.0011);
}

TEST(Init, UniformNumbersFillTheirInterval) {
  at::Tensor x = at::empty({100000}, at::kDouble);
  fill_uniform(x, 2, Random(3));
  EXPECT_GE(x.min().item<double>(), -2);
  EXPECT_LT(x.max().item<double>(), 2);
  EXPECT_NEAR(x.mean().item<double>(), 0, 0.02);
  EXPECT_NEAR(x.var().item<double>(), 4.0 / 3, 0.02);
}

TEST(Init, DependsOnTheSeedAlone) {
  const int threads = at::get_num_threads();
  const at::Tensor first = normal_numbers(50000, 1, 9);
  at::set_num_threads(1);
  torch::manual_seed(123);
  const at::Tensor second = normal_numbers(50000, 1, 9);
  at::set_num_threads(threads);
  EXPECT_TRUE(first.equal(second));
  EXPECT_FALSE(first.equal(normal_numbers(50000, 1, 10)));
}

TEST(Init, NeverTouchesTheGlobalGenerator) {
  const at::Tensor before = at::globalContext().defaultGenerator(at::kCPU).get_state().clone();
  const auto conv = conv2d(3, 8, 3, {.bias = true}, Random(1));
  const auto fc = linear(8, 4, {}, Random(1));
  EXPECT_TRUE(before.equal(at::globalContext().defaultGenerator(at::kCPU).get_state()));
}

TEST(Init, LayersHaveTheSpreadOfTheirRule) {
  const auto spread = [](const at::Tensor& w) {
    return w.detach().to(at::kDouble).std(false).item<double>();
  };
  EXPECT_NEAR(spread(conv2d(32, 128, 3, {}, Random(1))->weight), std::sqrt(2.0 / (9 * 128)), 5e-4);
  EXPECT_NEAR(spread(conv2d(32, 128, 3, {.init = WeightInit::he_fan_in}, Random(1))->weight),
              std::sqrt(2.0 / (9 * 32)), 1e-3);
  EXPECT_NEAR(
      spread(conv2d(32, 128, 3, {.groups = 4, .init = WeightInit::he_fan_in}, Random(1))->weight),
      std::sqrt(2.0 / (9 * 8)), 6e-3);
  EXPECT_NEAR(spread(linear(256, 128, {}, Random(1))->weight), 1 / std::sqrt(3.0 * 256), 5e-4);
  EXPECT_NEAR(spread(linear(256, 128, {.init = WeightInit::he_fan_in}, Random(1))->weight),
              std::sqrt(2.0 / 256), 1e-3);
}

TEST(Init, CanBeSkipped) {
  at::Tensor x = at::zeros({8});
  {
    const SkipInitialization skip;
    fill_normal(x, 1, Random(1));
    EXPECT_EQ(x.abs().sum().item<float>(), 0);
  }
  fill_normal(x, 1, Random(1));
  EXPECT_GT(x.abs().sum().item<float>(), 0);
}

TEST(Layers, RefuseImpossibleSizes) {
  EXPECT_THROW(conv2d(3, 8, 3, {.groups = 2}, Random(1)), Error);
  EXPECT_THROW(conv2d(0, 8, 3, {}, Random(1)), Error);
  EXPECT_THROW(conv2d(3, 8, 3, {.stride = 0}, Random(1)), Error);
  EXPECT_THROW(linear(3, 0, {}, Random(1)), Error);
}

}  // namespace
}  // namespace residua
