// ECA, CBAM and SRM, element by element.
#include "residua/nn/channel_attention_more.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/core/error.h"

namespace residua {
namespace {

double logistic(double v) { return 1 / (1 + std::exp(-v)); }

template <class Layer>
void randomise(Layer& layer) {
  const at::NoGradGuard no_grad;
  layer.to(at::kDouble);
  torch::manual_seed(5);
  for (at::Tensor& p : layer.parameters()) p.copy_(torch::randn_like(p));
  layer.eval();
}

const at::Tensor& pictures() {
  static const at::Tensor x = [] {
    torch::manual_seed(6);
    return torch::randn({2, 5, 4, 3}, at::kDouble);
  }();
  return x;
}

TEST(EfficientChannelAttention, MixesNeighbouringMeans) {
  const at::NoGradGuard no_grad;
  EfficientChannelAttention eca(3, Random(1));
  randomise(eca);
  const at::Tensor w = eca.named_parameters()["conv.weight"], s = eca.scale(pictures());
  ASSERT_EQ(s.sizes().vec(), (std::vector<int64_t>{2, 5, 1, 1}));
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t c = 0; c < 5; ++c) {
      double sum = 0;
      for (int64_t k = -1; k <= 1; ++k)
        if (c + k >= 0 && c + k < 5)
          sum += w[0][0][k + 1].item<double>() * pictures()[n][c + k].mean().item<double>();
      EXPECT_NEAR(s[n][c].item<double>(), logistic(sum), 1e-12);
    }
  EXPECT_THROW(EfficientChannelAttention(4, Random(0)), Error);
}

TEST(StyleRecalibration, WeighsMeanAndDeviation) {
  const at::NoGradGuard no_grad;
  StyleRecalibration srm(5);
  EXPECT_TRUE(srm.scale(pictures().to(at::kFloat)).eq(0.5).all().item<bool>()) << "begins at 1/2";
  randomise(srm);
  const auto p = srm.named_parameters();
  const at::Tensor s = srm.scale(pictures());
  const auto b = srm.named_buffers();
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t c = 0; c < 5; ++c) {
      const at::Tensor v = pictures()[n][c];
      const double mean = v.mean().item<double>();
      double squares = 0;
      for (int64_t i = 0; i < 12; ++i) squares += std::pow(v.flatten()[i].item<double>() - mean, 2);
      const double deviation = std::sqrt(squares / 11 + 1e-5);
      const double z =
          p["cfc"][c][0].item<double>() * mean + p["cfc"][c][1].item<double>() * deviation;
      const double normed = (z - b["bn.running_mean"][c].item<double>()) /
                                std::sqrt(b["bn.running_var"][c].item<double>() + 1e-5) *
                                p["bn.weight"][c].item<double>() +
                            p["bn.bias"][c].item<double>();
      EXPECT_NEAR(s[n][c].item<double>(), logistic(normed), 1e-9);
    }
  // A single position has no deviation: it must not give NaN.
  EXPECT_TRUE(srm.scale(pictures().slice(2, 0, 1).slice(3, 0, 1)).isfinite().all().item<bool>());
}

TEST(BlockAttention, WeighsChannelsThenPositions) {
  const at::NoGradGuard no_grad;
  BlockAttention cbam(5, 2, Random(1));
  randomise(cbam);
  const auto p = cbam.named_parameters();
  const at::Tensor x = pictures(), s = cbam.scale(x);
  ASSERT_EQ(s.sizes(), x.sizes());
  const auto mlp = [&](const at::Tensor& v) {
    return torch::linear(
        torch::linear(v, p["ChannelGate.mlp.1.weight"], p["ChannelGate.mlp.1.bias"]).relu(),
        p["ChannelGate.mlp.3.weight"], p["ChannelGate.mlp.3.bias"]);
  };
  for (int64_t n = 0; n < 2; ++n) {
    at::Tensor means = torch::zeros({5}, at::kDouble), maxima = torch::zeros({5}, at::kDouble);
    for (int64_t c = 0; c < 5; ++c) {
      means[c] = x[n][c].mean();
      maxima[c] = x[n][c].max();
    }
    const at::Tensor channels = (mlp(means) + mlp(maxima)).sigmoid();
    const at::Tensor weighted = x[n] * channels.view({5, 1, 1});
    const at::Tensor k = p["SpatialGate.spatial.conv.weight"][0];
    for (int64_t i = 0; i < 4; ++i)
      for (int64_t j = 0; j < 3; ++j) {
        double sum = 0;
        for (int64_t di = -3; di <= 3; ++di)
          for (int64_t dj = -3; dj <= 3; ++dj) {
            if (i + di < 0 || i + di >= 4 || j + dj < 0 || j + dj >= 3) continue;
            const at::Tensor v = weighted.select(1, i + di).select(1, j + dj);
            sum += k[0][di + 3][dj + 3].item<double>() * v.max().item<double>() +
                   k[1][di + 3][dj + 3].item<double>() * v.mean().item<double>();
          }
        const double normed =
            sum / std::sqrt(1 + 1e-5) * p["SpatialGate.spatial.bn.weight"][0].item<double>() +
            p["SpatialGate.spatial.bn.bias"][0].item<double>();
        for (int64_t c = 0; c < 5; ++c)
          EXPECT_NEAR(s[n][c][i][j].item<double>(), channels[c].item<double>() * logistic(normed),
                      1e-9);
      }
  }
}

}  // namespace
}  // namespace residua
