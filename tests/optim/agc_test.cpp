// Adaptive gradient clipping.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/optim/clip.h"
#include "residua/optim/parameter_groups.h"

namespace residua {
namespace {

at::Tensor with_gradient(const at::Tensor& value, const at::Tensor& gradient) {
  at::Tensor p = value.clone();
  p.mutable_grad() = gradient.clone();
  return p;
}

TEST(Agc, LeavesSmallGradientsAlone) {
  torch::manual_seed(1);
  const at::Tensor w = torch::randn({5, 4, 3, 3}), g = 1e-4 * torch::randn_like(w);
  const at::Tensor p = with_gradient(w, g);
  clip_agc({p}, 0.01);
  EXPECT_TRUE(p.grad().equal(g));
}

TEST(Agc, BringsLargeGradientsToLambda) {
  torch::manual_seed(2);
  const double lambda = 0.02;
  for (const auto& shape : {std::vector<int64_t>{5, 4, 3, 3}, {6, 7}}) {
    const at::Tensor w = torch::randn(shape, at::kDouble), g = torch::randn_like(w);
    const at::Tensor p = with_gradient(w, g);
    clip_agc({p}, lambda);
    for (int64_t i = 0; i < shape[0]; ++i) {
      EXPECT_NEAR(p.grad()[i].norm().item<double>() / w[i].norm().item<double>(), lambda, 1e-12);
      const double cosine = (p.grad()[i] * g[i]).sum().item<double>() /
                            (p.grad()[i].norm() * g[i].norm()).item<double>();
      EXPECT_NEAR(cosine, 1, 1e-12);
    }
  }
}

TEST(Agc, ClipsUnitByUnit) {
  torch::manual_seed(3);
  const double lambda = 0.1, eps = 1e-3;
  at::Tensor w = torch::randn({8, 3, 2, 2}, at::kDouble), g = torch::randn_like(w);
  w[2] = 0;      // a unit without weights counts as eps
  g[3] *= 1e-3;  // one that is small enough
  g[4] = 0;
  const at::Tensor p = with_gradient(w.contiguous(at::MemoryFormat::ChannelsLast), g);
  clip_agc({p}, lambda, eps);
  for (int64_t i = 0; i < 8; ++i) {
    double weight = 0, gradient = 0;
    for (int64_t j = 0; j < 12; ++j) {
      weight += std::pow(w[i].reshape({-1})[j].item<double>(), 2);
      gradient += std::pow(g[i].reshape({-1})[j].item<double>(), 2);
    }
    const double most = lambda * std::max(std::sqrt(weight), eps), norm = std::sqrt(gradient);
    const at::Tensor expected = norm > most ? g[i] * (most / norm) : g[i];
    EXPECT_TRUE(torch::allclose(p.grad()[i], expected, 1e-10, 1e-14)) << i;
  }
}

TEST(Agc, VectorsAndScalarsAreOneUnit) {
  const at::Tensor vector = with_gradient(torch::tensor({3.0, 4.0}, at::kDouble),
                                          torch::tensor({0.0, 10.0}, at::kDouble));
  const at::Tensor scalar =
      with_gradient(torch::tensor(-2.0, at::kDouble), torch::tensor(10.0, at::kDouble));
  clip_agc({vector, scalar}, 0.1);
  EXPECT_NEAR(vector.grad()[1].item<double>(), 0.5, 1e-12);
  EXPECT_NEAR(scalar.grad().item<double>(), 0.2, 1e-12);
}

TEST(Agc, CommutesWithRescaling) {
  torch::manual_seed(4);
  const at::Tensor w = torch::randn({6, 5}, at::kDouble), g = 0.1 * torch::randn_like(w);
  const at::Tensor one = with_gradient(w, g), other = with_gradient(64 * w, 64 * g);
  clip_agc({one, other}, 0.05);
  EXPECT_TRUE(other.grad().equal(64 * one.grad()));  // 64: exact in binary
}

TEST(Agc, PassesOverWhatIsExcludedOrHasNoGradient) {
  torch::manual_seed(5);
  const auto tensor = [] { return with_gradient(torch::ones({2, 3}), 100 * torch::ones({2, 3})); };
  const ParameterGroup body{.names = {"stem.weight", "head.fc.weight"},
                            .parameters = {tensor(), tensor()}};
  const ParameterGroup rest{.names = {"head.fc.bias"}, .parameters = {tensor()}};
  const auto kept = parameters_except({body, rest}, {"head.fc.*"});
  ASSERT_EQ(kept.size(), 1u);
  std::vector<at::Tensor> list = kept;
  list.push_back(torch::ones({2}));
  clip_agc(list, 0.01);
  EXPECT_LT(body.parameters[0].grad().max().item<float>(), 1);
  EXPECT_EQ(body.parameters[1].grad().max().item<float>(), 100);
  EXPECT_EQ(rest.parameters[0].grad().max().item<float>(), 100);
  EXPECT_EQ(parameters_except({body, rest}, {}).size(), 3u);
}

TEST(Agc, ShowsSpoiledGradientsAndRefusesNoLambda) {
  at::Tensor g = torch::ones({2, 2});
  g[0][0] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor p = with_gradient(torch::ones({2, 2}), g);
  clip_agc({p}, 0.01);
  EXPECT_TRUE(p.grad()[0][0].isnan().item<bool>());
  EXPECT_THROW(clip_agc({p}, 0), Error);
  EXPECT_THROW(clip_agc({p}, 0.1, 0), Error);
}

}  // namespace
}  // namespace residua
