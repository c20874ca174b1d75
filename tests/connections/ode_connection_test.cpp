// Carriers whose blocks are the right side of an equation.
#include "residua/connections/ode_connection.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/models/tabular/mlp.h"
#include "residua/models/vision/resnet_cifar.h"
#include "residua/models/vision/vit.h"

namespace residua {
namespace {

std::shared_ptr<Mlp> mlp_with(const Component& connection) {
  const auto model = std::make_shared<Mlp>(
      MlpOptions{.depth = 6, .width = 8, .act = Activation::tanh, .connection = connection},
      Random(1));
  model->to(at::kDouble);
  return model;
}

Component ode(const Json& options) { return {"ode", options}; }

TEST(OdeConnection, EulerOfOneStepIsTheResidualNetwork) {
  const auto plain = mlp_with("identity"), solved = mlp_with("ode");
  const at::Tensor x = torch::randn({5, 8}, at::kDouble);
  EXPECT_TRUE(torch::allclose(plain->run_blocks(x), solved->run_blocks(x), 0, 1e-14));
}

TEST(OdeConnection, TiedBlocksAreOneEquation) {
  const auto tied = mlp_with(ode({{"share", 6}}));
  EXPECT_EQ(tied->blocks().size(), 1u);
  at::Tensor x = torch::randn({5, 8}, at::kDouble);
  const at::Tensor y = tied->run_blocks(x);
  for (int i = 0; i < 6; ++i) x = x + tied->blocks()[0]->forward(x);
  EXPECT_LT((x - y).abs().max().item<double>(), 1e-12);
}

TEST(OdeConnection, GroupsOfBlocksShareWeights) {
  const auto tied = mlp_with(ode({{"share", 4}}));  // 4 and 2
  EXPECT_EQ(tied->blocks().size(), 2u);
  at::Tensor x = torch::randn({5, 8}, at::kDouble);
  const at::Tensor y = tied->run_blocks(x);
  for (int i = 0; i < 6; ++i) x = x + tied->blocks()[i < 4 ? 0 : 1]->forward(x);
  EXPECT_LT((x - y).abs().max().item<double>(), 1e-12);
}

TEST(OdeConnection, MethodsConvergeWithTheirOrder) {
  const at::Tensor x = torch::randn({5, 8}, at::kDouble);
  const at::Tensor exact =
      mlp_with(ode({{"share", 6}, {"method", "dopri5"}, {"rtol", 1e-12}, {"atol", 1e-12}}))
          ->run_blocks(x);
  const std::vector<std::pair<std::string, double>> orders{
      {"euler", 1}, {"midpoint", 2}, {"rk4", 4}};
  for (const auto& [method, order] : orders) {
    const auto error = [&](int64_t steps) {
      const auto net = mlp_with(ode({{"share", 6}, {"method", method}, {"steps", steps}}));
      return (net->run_blocks(x) - exact).norm().item<double>();
    };
    const int64_t steps = order == 4 ? 96 : 384;
    EXPECT_NEAR(std::log2(error(steps) / error(2 * steps)), order, 0.1) << method;
  }
}

TEST(OdeConnection, AdjointGradientEqualsBackpropagation) {
  const at::Tensor x = torch::randn({5, 8}, at::kDouble).requires_grad_();
  const auto gradients = [&](const Json& options) {
    const auto net = mlp_with(ode(options));
    std::vector<at::Tensor> wanted = net->blocks()[0]->parameters();
    wanted.push_back(net->named_parameters()["connection.0.time"]);
    wanted.push_back(x);
    return torch::autograd::grad({net->run_blocks(x).square().sum()}, wanted);
  };
  const Json base{{"share", 6}, {"time", "added"}};
  Json fine = base, adjoint = base;
  fine.update({{"method", "rk4"}, {"steps", 192}});
  adjoint.update({{"method", "dopri5"}, {"rtol", 1e-8}, {"atol", 1e-8}, {"adjoint", true}});
  const auto a = gradients(fine), b = gradients(adjoint);
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_TRUE(torch::allclose(a[i], b[i], 1e-4, 1e-6)) << i;
    EXPECT_GT(a[i].abs().max().item<double>(), 0) << i;
  }
}

TEST(OdeConnection, AttentionAndMlpOfABlockStandSideBySide) {
  const auto vit_with = [](const Component& connection) {
    return std::make_shared<Vit>(VitOptions{.image_size = 8,
                                            .dim = 8,
                                            .depth = 3,
                                            .heads = 2,
                                            .in_channels = 1,
                                            .connection = connection},
                                 Random(1));
  };
  torch::manual_seed(2);
  const at::Tensor x = torch::randn({2, 5, 8});
  // Each block on its own: the parallel connection with mixed kinds.
  const at::Tensor parallel = vit_with({"parallel", {{"k", 2}, {"kinds", "mixed"}}})->run_blocks(x);
  EXPECT_TRUE(torch::allclose(vit_with("ode")->run_blocks(x), parallel, 1e-5, 1e-6));
  // Tied: one set of weights, blocks.0, and the sum of its branches once for each block.
  const auto tied = vit_with({"ode", {{"share", 3}}});
  EXPECT_EQ(tied->blocks().size(), 1u);
  at::Tensor y = x;
  State state;
  const std::function<void(const Site&, const AttentionView&)> nobody;
  for (int i = 0; i < 3; ++i) {
    const TransformerBlock& block = *tied->blocks()[0];
    const Site& site = tied->schedule()[0];
    y = y +
        block.attention->forward(
            y, {.connection = tied->connection(), .site = site, .state = state, .visit = nobody}) +
        block.mlp->forward(y);
  }
  EXPECT_TRUE(torch::allclose(tied->run_blocks(x), y, 1e-5, 1e-6));
}

TEST(OdeConnection, ReportsEvaluations) {
  const auto net =
      mlp_with(ode({{"share", 6}, {"method", "rk4"}, {"steps", 12}, {"adjoint", true}}));
  net->run_blocks(torch::randn({5, 8}, at::kDouble)).sum().backward();
  const Extras extras = net->extras({});
  ASSERT_EQ(extras.values.size(), 2u);
  EXPECT_EQ(extras.values[0].second, 48);
  EXPECT_EQ(extras.values[1].second, 48);
}

TEST(OdeConnection, StagesOfAResNetAreSolvedOneByOne) {
  const ResNetCifarOptions options{.n = 3,
                                   .width = 4,
                                   .order = BlockOrder::pre,
                                   .connection = {"ode", {{"share", 2}, {"method", "midpoint"}}}};
  ResNetCifar net(options, Random(1));
  // Of the first stage blocks 0 (for two) and 1; of the others the one that changes the shape and
  // one for the two that follow.
  for (const auto& stage : net.stages()) EXPECT_EQ(stage->blocks().size(), 2u);
  const at::Tensor y = net.forward(torch::randn({4, 3, 8, 8}));
  y.sum().backward();
  for (const auto& p : net.named_parameters()) EXPECT_TRUE(p.value().grad().defined()) << p.key();
  EXPECT_EQ(net.features(torch::randn({4, 3, 8, 8})).size(), 3u);
}

TEST(OdeConnection, RefusesActivationsBetweenBlocks) {
  try {
    ResNetCifar net({.connection = "ode"}, Random(1));
    ADD_FAILURE() << "rides a post-activation network";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::unsupported);
    EXPECT_NE(std::string(e.what()).find("order=pre"), std::string::npos);
  }
}

}  // namespace
}  // namespace residua
