#include "residua/nn/weight_standard.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <numbers>

#include "residua/core/error.h"

namespace residua {
namespace {

TEST(VarianceGain, OfReluIsItsClosedForm) {
  EXPECT_NEAR(variance_gain(Activation::relu), std::sqrt(2 / (1 - 1 / std::numbers::pi)), 1e-6);
  EXPECT_NEAR(variance_gain(Activation::none), 1, 1e-8);
}

// The published numbers were estimated from samples: within 0.1 % of the integrals.
TEST(VarianceGain, AgreesWithThePublishedSamples) {
  for (const auto act :
       {Activation::none, Activation::relu, Activation::gelu, Activation::silu, Activation::tanh})
    EXPECT_NEAR(published_variance_gain(act) / variance_gain(act), 1, 1e-3)
        << static_cast<int>(act);
}

// Mean 0 and variance gamma^2 gain^2 / fan_in, but for eps.
void check_rows(const at::Tensor& standardised, const at::Tensor& weight, const at::Tensor& gain,
                double gamma, double eps) {
  const at::Tensor rows = standardised.detach().flatten(1).to(at::kDouble);
  const at::Tensor variance = weight.detach().flatten(1).to(at::kDouble).var(1, false);
  const at::Tensor expected = (gain.detach().flatten().to(at::kDouble) * gamma).square() *
                              (variance / (variance + eps)) / static_cast<double>(rows.size(1));
  EXPECT_LT(rows.mean(1).abs().max().item<double>(), 1e-6);
  EXPECT_LT((rows.var(1, false) - expected).abs().max().item<double>(), 1e-6);
}

TEST(WeightStandard, RowsHaveTheirMoments) {
  torch::manual_seed(3);
  const double gamma = 1.7;
  ScaledStdConv2d conv(6, 10, 3, {.groups = 2, .gamma = gamma}, Random(1));
  ScaledStdLinear fc(40, 30, {.gamma = gamma}, Random(2));
  for (at::Tensor gain : {conv.gain.detach(), fc.gain.detach()})
    gain.copy_(torch::randn_like(gain));
  check_rows(conv.standardised(), conv.weight, conv.gain, gamma, 1e-6);
  check_rows(fc.standardised(), fc.weight, fc.gain, gamma, 1e-6);
  EXPECT_EQ(conv.gain.sizes().vec(), (std::vector<int64_t>{10, 1, 1, 1}));
}

TEST(WeightStandard, ForgetsScaleAndShiftOfTheWeights) {
  torch::manual_seed(3);
  const at::Tensor w = torch::randn({5, 4, 3, 3}, at::kDouble), gain = torch::randn({5, 1, 1, 1});
  const at::Tensor expected = standardised_weight(w, gain, 1.3, 0);
  EXPECT_TRUE(torch::allclose(standardised_weight(7 * w + 2, gain, 1.3, 0), expected, 1e-9, 1e-12));
}

TEST(WeightStandard, GradientIsThatOfFiniteDifferences) {
  torch::manual_seed(4);
  const at::Tensor w = torch::randn({3, 4}, at::kDouble).requires_grad_();
  const at::Tensor gain = torch::randn({3, 1}, at::kDouble).requires_grad_();
  const at::Tensor mix = torch::randn({3, 4}, at::kDouble);
  const auto value = [&] { return (standardised_weight(w, gain, 1.7, 1e-6) * mix).sum(); };
  value().backward();
  const double step = 1e-6;
  for (const at::Tensor& p : {w, gain})
    for (int64_t i = 0; i < p.numel(); ++i) {
      const at::NoGradGuard no_grad;
      at::Tensor flat = p.detach().view({-1});
      const double start = flat[i].item<double>();
      flat[i] = start + step;
      const double above = value().item<double>();
      flat[i] = start - step;
      const double below = value().item<double>();
      flat[i] = start;
      EXPECT_NEAR((above - below) / (2 * step), p.grad().view({-1})[i].item<double>(), 1e-7);
    }
}

TEST(WeightStandard, KeepsTheVarianceOfActivations) {
  torch::manual_seed(5);
  const at::NoGradGuard no_grad;
  const at::Tensor x = torch::randn({2000, 512});
  const at::Tensor y = x.relu() * variance_gain(Activation::relu);
  const ScaledStdLinear fc(512, 256, {}, Random(7));
  // 3 %: one draw of 256 x 512 weights, measured 0.4 %.
  EXPECT_NEAR(fc.forward(y).var(0, false).mean().item<double>(), 1, 0.03);
}

TEST(WeightStandard, PadsAsTensorFlowDoes) {
  const at::NoGradGuard no_grad;
  const ScaledStdConv2d conv(2, 3, 3, {.stride = 2, .same_padding = true}, Random(1));
  const at::Tensor even = torch::randn({1, 2, 8, 7});
  // 8 needs one pixel, behind; 7 one on each side.
  const at::Tensor padded = at::constant_pad_nd(even, {1, 1, 0, 1});
  const at::Tensor expected = at::conv2d(padded, conv.standardised(), conv.bias, 2);
  EXPECT_EQ(expected.sizes().vec(), (std::vector<int64_t>{1, 3, 4, 4}));
  EXPECT_TRUE(conv.forward(even).equal(expected));
}

TEST(WeightStandard, RefusesSizesThatDoNotFit) {
  EXPECT_THROW(ScaledStdConv2d(3, 4, 3, {.groups = 2}, Random(0)), Error);
  EXPECT_THROW(ScaledStdLinear(0, 4, {}, Random(0)), Error);
}

}  // namespace
}  // namespace residua
