#include "residua/nn/channel_attention.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/nn/state.h"

namespace residua {
namespace {

// Values of timm's make_divisible.
TEST(RoundChannels, GoesToTheNearestMultiple) {
  EXPECT_EQ(round_channels(36, 8), 40);
  EXPECT_EQ(round_channels(78, 8), 80);
  EXPECT_EQ(round_channels(3, 8), 8);
  EXPECT_EQ(round_channels(11, 8), 16);  // 8 would be less than 0.9 * 11
  EXPECT_EQ(round_channels(11, 8, 0), 8);
  EXPECT_EQ(round_channels(12, 8, 0), 16);
}

TEST(SqueezeExcite, IsItsFormula) {
  torch::manual_seed(1);
  const at::NoGradGuard no_grad;
  for (const Gate gate : {Gate::sigmoid, Gate::hard_sigmoid}) {
    const SqueezeExcite se(16, {.ratio = 0.5, .gate = gate}, Random(2));
    std::map<std::string, at::Tensor> p;
    for (const auto& [name, tensor] : state_dict(se)) p[name] = tensor;
    ASSERT_EQ(p.at("fc1.weight").sizes().vec(), (std::vector<int64_t>{8, 16, 1, 1}));
    ASSERT_EQ(p.size(), 4u);
    p["fc2.bias"].copy_(torch::randn({16}));
    const at::Tensor x = torch::randn({3, 16, 5, 4});
    const at::Tensor y = se.forward(x);
    for (int64_t n = 0; n < 3; ++n)
      for (int64_t c = 0; c < 16; ++c) {
        double z = p["fc2.bias"][c].item<double>();
        for (int64_t h = 0; h < 8; ++h) {
          double hidden = p["fc1.bias"][h].item<double>();
          for (int64_t i = 0; i < 16; ++i)
            hidden += p["fc1.weight"][h][i][0][0].item<double>() * x[n][i].mean().item<double>();
          z += p["fc2.weight"][c][h][0][0].item<double>() * std::max(0.0, hidden);
        }
        const double open =
            gate == Gate::sigmoid ? 1 / (1 + std::exp(-z)) : std::clamp(z / 6 + 0.5, 0.0, 1.0);
        EXPECT_TRUE(torch::allclose(y[n][c], x[n][c] * open, 1e-5, 1e-6));
      }
  }
}

TEST(SqueezeExcite, LeavesOutBiases) {
  EXPECT_EQ(state_dict(SqueezeExcite(16, {.bias = false}, Random(2))).size(), 2u);
}

}  // namespace
}  // namespace residua
