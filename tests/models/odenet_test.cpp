// ODE-Net and its residual counterpart.
#include "residua/models/vision/odenet.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/nn/live_bytes.h"

namespace residua {
namespace {

int64_t count_parameters(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const at::Tensor& p : module.parameters()) count += p.numel();
  return count;
}

// Of torchdiffeq's MNIST example with its defaults, counted from its layers.
TEST(OdeNet, HasTheParametersOfTheExample) {
  EXPECT_EQ(count_parameters(OdeNet({}, Random(1))), 208266);
  EXPECT_EQ(count_parameters(OdeNet({.features = OdeNetFeatures::residual}, Random(1))), 576778);
  const OdeNet net({}, Random(1));
  const auto names = net.named_parameters();
  for (const char* name :
       {"0.bias", "1.weight", "3.weight", "4.bias", "6.weight", "7.odefunc.norm1.weight",
        "7.odefunc.conv1._layer.weight", "7.odefunc.norm2.bias", "7.odefunc.conv2._layer.bias",
        "7.odefunc.norm3.weight", "8.weight", "12.weight"})
    EXPECT_TRUE(names.contains(name)) << name;
  EXPECT_EQ(names["7.odefunc.conv1._layer.weight"].sizes().vec(),
            (std::vector<int64_t>{64, 65, 3, 3}));
}

TEST(OdeNet, AdjointGradientEqualsBackpropagationThroughFineSteps) {
  torch::manual_seed(1);
  const at::Tensor x = torch::randn({3, 1, 10, 10}, at::kDouble);
  const auto gradients = [&](const OdeNetOptions& options) {
    OdeNet net(options, Random(2));
    net.to(at::kDouble);
    return torch::autograd::grad({net.forward(x).square().sum()}, net.parameters());
  };
  const auto a = gradients({.width = 8, .tolerance = 1e-8});
  // Over the norm of the whole gradient: biases before a normalisation have none of their own. The
  // field has kinks, at which the method falls behind its order.
  const auto difference = [&](int64_t count) {
    const auto b =
        gradients({.width = 8, .method = OdeMethod::rk4, .steps = count, .adjoint = false});
    double squares = 0, all = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      squares += (a[i] - b[i]).square().sum().item<double>();
      all += b[i].square().sum().item<double>();
    }
    return std::sqrt(squares / all);
  };
  const double coarse = difference(20), fine = difference(800);
  // 3e-3: of the fixed steps at the field's kinks; measured 1.5e-4, and 1.7e-2 with 20 steps. A
  // method of first order gains 40 by 40 times as many steps.
  EXPECT_LT(fine, 3e-3);
  EXPECT_LT(fine, coarse / 20);
}

TEST(OdeNet, AdjointMemoryDoesNotGrowWithEvaluations) {
  const at::Tensor x = torch::randn({8, 1, 16, 16});
  const auto peak = [&](int64_t steps, bool adjoint) {
    OdeNet net({.width = 16, .method = OdeMethod::rk4, .steps = steps, .adjoint = adjoint},
               Random(1));
    const LiveBytes live;
    net.forward(x).sum().backward();
    const Extras extras = net.extras({});
    EXPECT_EQ(extras.values[0].second, static_cast<double>(4 * steps));
    return static_cast<double>(live.peak());
  };
  // 0.1: measured 0.05 for sixteen times as many steps.
  EXPECT_NEAR(peak(32, true) / peak(2, true), 1, 0.1);
  EXPECT_GT(peak(32, false) / peak(2, false), 5);
}

}  // namespace
}  // namespace residua
