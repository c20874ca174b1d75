// ResNets against the numbers and identities of their paper.
#include "residua/models/vision/resnet.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <set>

#include "residua/core/error.h"
#include "residua/models/vision/resnet_cifar.h"
#include "residua/nn/init.h"
#include "residua/nn/state.h"

namespace residua {
namespace {

int64_t parameter_count(const Component& component) {
  const SkipInitialization only_shapes;
  const auto model = models().create(component, Random(0));
  int64_t count = 0;
  for (const at::Tensor& p : model->parameters()) count += p.numel();
  return count;
}

TEST(ResNet, HasTorchvisionsParameterCounts) {
  EXPECT_EQ(parameter_count("resnet18"), 11689512);
  EXPECT_EQ(parameter_count("resnet34"), 21797672);
  EXPECT_EQ(parameter_count("resnet50"), 25557032);
  EXPECT_EQ(parameter_count("resnet101"), 44549160);
  EXPECT_EQ(parameter_count("resnet152"), 60192808);
  EXPECT_EQ(parameter_count("resnext50_32x4d"), 25028904);
  EXPECT_EQ(parameter_count("wide_resnet50_2"), 68883240);
}

// The reference's table gives 0.27M, 0.46M, 0.66M, 0.85M, 1.7M and 19.4M; exactly: a 3x3
// convolution of 3 -> 16, 2 n of 16 -> 16, one of 16 -> 32 and 2 n - 1 of 32 -> 32, one of 32 -> 64
// and 2 n - 1 of 64 -> 64, two numbers of normalisation for each output channel, and 64 -> 10 with
// a bias.
int64_t counted_by_hand(int64_t n) {
  const int64_t convolutions = 9 * (3 * 16 + 2 * n * 16 * 16 + 16 * 32 + (2 * n - 1) * 32 * 32 +
                                    32 * 64 + (2 * n - 1) * 64 * 64);
  return convolutions + 2 * (16 + 2 * n * (16 + 32 + 64)) + 64 * 10 + 10;
}

TEST(ResNetCifar, HasTheReferencesParameterCounts) {
  EXPECT_EQ(parameter_count("resnet20"), 269722);
  EXPECT_EQ(parameter_count("resnet32"), 464154);
  EXPECT_EQ(parameter_count("resnet44"), 658586);
  EXPECT_EQ(parameter_count("resnet56"), 853018);
  EXPECT_EQ(parameter_count("resnet110"), 1727962);
  EXPECT_EQ(parameter_count("resnet1202"), 19421274);
  for (const auto& [name, n] : {std::pair{"resnet20", 3}, {"resnet56", 9}, {"resnet1202", 200}})
    EXPECT_EQ(parameter_count(name), counted_by_hand(n)) << name;
}

// Central differences in double precision, along the gradient plus a random direction. The step is
// small enough that hardly any ReLU changes its side.
void check_gradients(Model& model, const at::Tensor& x) {
  const auto loss = [&] {
    return (model.forward(x) * torch::arange(3, x.options())).square().mean();
  };
  loss().backward();
  const double step = 1e-6;
  for (auto& p : model.named_parameters()) {
    const at::Tensor start = p.value().detach().clone(), random = torch::randn_like(start);
    const at::Tensor direction =
        random / random.norm() + p.value().grad() / p.value().grad().norm();
    const double expected = (p.value().grad() * direction).sum().item<double>();
    const at::NoGradGuard no_grad;
    p.value().copy_(start + step * direction);
    const double above = loss().item<double>();
    p.value().copy_(start - step * direction);
    const double below = loss().item<double>();
    p.value().copy_(start);
    EXPECT_NEAR((above - below) / (2 * step), expected,
                1e-6 * p.value().grad().norm().item<double>())
        << p.key();
  }
}

TEST(ResNet, GradientsOfTwoBlocksAreThoseOfFiniteDifferences) {
  for (const auto block : {BlockKind::basic, BlockKind::bottleneck})
    for (const auto shortcut : {Shortcut::a, Shortcut::b}) {
      ResNet model(
          {.block = block, .layers = {1, 1}, .width = 4, .num_classes = 3, .shortcut = shortcut},
          Random(5));
      model.to(at::kDouble);
      torch::manual_seed(11);
      check_gradients(model, torch::randn({3, 3, 16, 16}, at::kDouble));
    }
}

at::Tensor run_blocks(const Stage& stage, at::Tensor x) {
  for (const auto& block : stage.blocks()) x = block->fused(x, true);
  return x;
}

TEST(ResidualBlock, WithZeroConvolutionsIsTheIdentityOnNonNegativeInput) {
  const at::NoGradGuard no_grad;
  for (const auto kind : {BlockKind::basic, BlockKind::bottleneck}) {
    const int64_t channels = block_channels(kind, 4);
    Stage stage(kind, 3, {.in = channels, .planes = 4}, Random(1));
    for (auto& p : stage.named_parameters())
      if (p.value().dim() == 4) p.value().zero_();
    const at::Tensor x = torch::rand({2, channels, 5, 5});
    stage.eval();
    EXPECT_TRUE(run_blocks(stage, x).equal(x));
    stage.train();
    EXPECT_TRUE(run_blocks(stage, x).equal(x));
  }
}

TEST(ResidualBlock, IsItsBranchPlusItsShortcut) {
  const at::NoGradGuard no_grad;
  for (const auto shortcut : {Shortcut::a, Shortcut::b, Shortcut::c}) {
    BasicBlock block({.in = 4, .planes = 8, .stride = 2, .shortcut = shortcut}, Random(1));
    block.eval();
    const at::Tensor x = torch::randn({2, 4, 7, 7});
    EXPECT_TRUE(torch::allclose(block.fused(x, true), (block.branch(x) + block.shortcut(x)).relu(),
                                1e-5, 1e-6));
  }
  BasicBlock plain({.in = 4, .planes = 4, .has_shortcut = false}, Random(1));
  plain.eval();
  const at::Tensor x = torch::randn({2, 4, 7, 7});
  EXPECT_TRUE(torch::allclose(plain.fused(x, false), plain.branch(x).relu(), 1e-5, 1e-6));
}

TEST(ShortcutA, SlicesAndPads) {
  const at::Tensor x = torch::randn({2, 3, 5, 4}), y = shortcut_a(x, 8, 2);
  ASSERT_EQ(y.sizes().vec(), (std::vector<int64_t>{2, 8, 3, 2}));
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t c = 0; c < 8; ++c)
      for (int64_t i = 0; i < 3; ++i)
        for (int64_t j = 0; j < 2; ++j) {
          const bool present = c >= 2 && c < 5;  // 5 new channels: 2 before, 3 behind
          const float expected = present ? x[n][c - 2][2 * i][2 * j].item<float>() : 0;
          ASSERT_EQ(y[n][c][i][j].item<float>(), expected);
        }
  EXPECT_THROW(shortcut_a(x, 2, 1), Error);
}

std::set<std::string> key_set(const ResNetCifarOptions& options) {
  std::set<std::string> keys;
  for (const auto& [name, tensor] : state_dict(ResNetCifar(options, Random(0)))) keys.insert(name);
  return keys;
}

TEST(ResNetCifar, PlainNetworkSharesEveryKeyButTheShortcut) {
  const auto plain = key_set({.n = 1, .shortcut = Shortcut::b, .connection = "none"});
  auto residual = key_set({.n = 1, .shortcut = Shortcut::b});
  EXPECT_TRUE(residual.contains("layer2.0.shortcut.0.weight"));
  EXPECT_TRUE(residual.contains("layer3.0.shortcut.1.running_var"));
  std::erase_if(residual,
                [](const std::string& key) { return key.find(".shortcut.") != std::string::npos; });
  EXPECT_EQ(plain, residual);
}

TEST(ResNet, PutsTheStrideWhereItIsAskedFor) {
  for (const bool first : {false, true}) {
    Bottleneck block({.in = 8, .planes = 4, .stride = 2, .stride_in_1x1 = first}, Random(0));
    const auto children = block.named_children();
    EXPECT_EQ(dynamic_cast<Conv2d&>(*children["conv1"]).options().stride, first ? 2 : 1);
    EXPECT_EQ(dynamic_cast<Conv2d&>(*children["conv2"]).options().stride, first ? 1 : 2);
  }
}

TEST(ResNet, ZeroInitMakesEveryBlockItsShortcut) {
  ResNet model({.layers = {1, 1}, .width = 4, .zero_init_residual = true}, Random(0));
  for (const auto& p : model.named_parameters())
    if (p.key().ends_with("bn2.weight")) {
      EXPECT_EQ(p.value().abs().sum().item<float>(), 0) << p.key();
    }
}

TEST(ResNet, RefusesWhatHasNoMeaning) {
  EXPECT_THROW(models().create({"resnet18", {{"groups", 2}}}, Random(0)), Error);
  EXPECT_THROW(models().create({"resnet18", {{"layers", Json::array()}}}, Random(0)), Error);
  // 4 * 8 / 64 inner channels
  EXPECT_THROW(models().create({"resnet50", {{"width", 4}, {"width_per_group", 8}}}, Random(0)),
               Error);
  EXPECT_THROW(models().create({"resnet20", {{"shortcut", "D"}}}, Random(0)), Error);
  EXPECT_THROW(models().create({"resnet20", {{"num_classes", 0}}}, Random(0)), Error);
}

TEST(ResNet, NamesWeightsOnlyWhereTheyFit) {
  const SkipInitialization only_shapes;
  const auto weights = [](const Component& component) {
    return models().create(component, Random(0))->info().weights;
  };
  ASSERT_EQ(weights("resnet50").size(), 2u);
  EXPECT_EQ(weights("resnet50").front().url,
            "https://download.pytorch.org/models/resnet50-0676ba61.pth");
  EXPECT_EQ(weights({"resnet50", {{"num_classes", 5}}}).size(), 2u);
  EXPECT_TRUE(weights({"resnet50", {{"width", 32}}}).empty());
  EXPECT_EQ(weights("resnet20").size(), 1u);
  EXPECT_TRUE(weights({"resnet20", {{"shortcut", "B"}}}).empty());
}

}  // namespace
}  // namespace residua
