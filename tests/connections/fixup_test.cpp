#include "residua/connections/fixup.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/analysis/signal/update_size.h"
#include "residua/models/tabular/mlp.h"
#include "residua/models/vision/resnet.h"
#include "residua/models/vision/resnet_cifar.h"

namespace residua {
namespace {

at::Tensor fixup_images(int64_t batch = 2, int64_t size = 16, int64_t channels = 3) {
  torch::manual_seed(5);
  return torch::randn({batch, channels, size, size});
}

TEST(Fixup, ScaleIsItsFormula) {
  EXPECT_DOUBLE_EQ(fixup_scale(16, 2), 1.0 / 4);
  EXPECT_DOUBLE_EQ(fixup_scale(16, 3), 1.0 / 2);
  EXPECT_DOUBLE_EQ(fixup_scale(16, 1), 1);
}

TEST(Fixup, BeginsWithZeroLogits) {
  const at::NoGradGuard no_grad;
  for (const Component& c : std::vector<Component>{
           {"fixup_resnet_cifar", {{"width", 4}}},
           {"fixup_resnet50", {{"layers", {1, 1}}, {"width", 8}}},
           {"resnet_cifar", {{"width", 4}, {"connection", "fixup"}}},
           {"resnet_cifar", {{"width", 4}, {"order", "pre"}, {"connection", "fixup"}}},
           {"mlp", {{"in_channels", 3}, {"image_size", 16}, {"connection", "fixup"}}}}) {
    const auto model = models().create(c, Random(3));
    EXPECT_EQ(model->forward(fixup_images()).abs().max().item<float>(), 0) << c.name;
    model->reset_classifier(5, Random(4));
    EXPECT_EQ(model->forward(fixup_images()).abs().max().item<float>(), 0) << c.name;
  }
}

// The stem's output, through the shortcuts alone: every second pixel, new channels zero and behind.
TEST(Fixup, BeginsAsAChainOfShortcuts) {
  const at::NoGradGuard no_grad;
  const auto model = models().create({"fixup_resnet_cifar", {{"n", 2}, {"width", 4}}}, Random(3));
  const at::Tensor x = fixup_images();
  at::Tensor expected = at::conv2d(x, model->named_parameters()["conv1.weight"], {}, 1, 1).relu();
  for (const at::Tensor& level : model->features(x)) {
    EXPECT_TRUE(level.equal(expected));
    expected = expected.slice(2, 0, c10::nullopt, 2).slice(3, 0, c10::nullopt, 2);
    expected = at::cat({expected, at::zeros_like(expected)}, 1);
  }
}

double rms(const at::Tensor& t) { return t.square().mean().sqrt().item<double>(); }

TEST(Fixup, ScalesHesDistributionByDepth) {
  const auto basic = models().create("fixup_resnet20", Random(1));
  const auto deep =
      models().create({"fixup_resnet50", {{"layers", {2, 3}}, {"width", 32}}}, Random(1));
  for (const auto& [model, branches, layers] : {std::tuple{basic, 9, 2}, std::tuple{deep, 5, 3}}) {
    double first = 0, count = 0;
    for (const auto& p : model->named_parameters()) {
      const std::string name = p.key();
      if (!name.starts_with("layer") || p.value().dim() != 4) continue;
      if (name.find("downsample") != std::string::npos) continue;
      if (name.ends_with("conv" + std::to_string(layers) + ".weight")) {
        EXPECT_EQ(rms(p.value()), 0) << name;
        continue;
      }
      const auto fan_out = static_cast<double>(p.value().numel() / p.value().size(1));
      first += p.value().square().sum().item<double>() / (2 / fan_out);
      count += static_cast<double>(p.value().numel());
      // 10 %: at least 1024 numbers; all of them together below.
      EXPECT_NEAR(rms(p.value()) / std::sqrt(2 / fan_out) / fixup_scale(branches, layers), 1, 0.1)
          << name;
    }
    EXPECT_NEAR(std::sqrt(first / count) / fixup_scale(branches, layers), 1, 0.03);
  }
}

TEST(Fixup, HasNoNormalisationAndAllItsScalars) {
  const auto model = models().create({"fixup_resnet_cifar", {{"n", 1}, {"width", 4}}}, Random(1));
  EXPECT_TRUE(model->buffers().empty());
  const auto parameters = model->named_parameters();
  for (const char* name : {"bias1", "bias2", "layer1.0.bias1a", "layer1.0.bias1b",
                           "layer1.0.bias2a", "layer1.0.bias2b"})
    EXPECT_EQ(parameters[name].item<float>(), 0) << name;
  EXPECT_EQ(parameters["layer2.0.scale"].item<float>(), 1);
}

double change_at_depth(const Json& options, int64_t depth, double lr, int64_t warm = 0) {
  Json all = options;
  all["n"] = (depth - 2) / 6;
  all["width"] = 4;
  const auto model = models().create({"resnet_cifar", all}, Random(11));
  model->to(at::kDouble);
  torch::manual_seed(12);
  const at::Tensor x = torch::randn({4, 3, 8, 8}, at::kDouble);
  return update_size(*model, x, torch::tensor({1, 7, 3, 0}), lr, warm).change;
}

TEST(Fixup, OneStepMovesTheLogitsEquallyAtEveryDepth) {
  // Also behind the first step, which moves the classifier alone; the paper's statement is about
  // small rates.
  for (const auto& [lr, warm] : {std::pair{0.1, 0}, {0.01, 5}}) {
    std::vector<double> fixup;
    for (const int64_t depth : {20, 56, 110, 200})
      fixup.push_back(change_at_depth({{"connection", "fixup"}}, depth, lr, warm));
    const auto [least, most] = std::ranges::minmax(fixup);
    EXPECT_LT(most / least, 2) << lr;
  }
  const Json he{{"norm", false}};
  EXPECT_GT(change_at_depth(he, 200, 0.1) / change_at_depth(he, 20, 0.1), 10);
}

TEST(Fixup, BeginsAsTheIdentityInTransformers) {
  const at::NoGradGuard no_grad;
  const Json vit{{"dim", 64},  {"depth", 8},       {"heads", 4},
                 {"patch", 8}, {"image_size", 16}, {"connection", "fixup"}};
  const auto model = models().create({"vit", vit}, Random(3));
  EXPECT_EQ(model->forward(fixup_images()).abs().max().item<float>(), 0);
  const auto levels = model->features(fixup_images());
  for (const at::Tensor& level : levels) EXPECT_TRUE(level.equal(levels.front()));
  const auto parameters = model->named_parameters();
  EXPECT_TRUE(parameters.contains("blocks.0.attn_bias1"));
  EXPECT_TRUE(parameters.contains("blocks.7.mlp_scale"));
  double squares = 0;
  for (const auto& p : parameters) {
    EXPECT_EQ(p.key().find("norm"), std::string::npos) << p.key();
    if (p.key().ends_with("attn.proj.weight") || p.key().ends_with("fc2.weight")) {
      EXPECT_EQ(rms(p.value()), 0) << p.key();
    }
    // 16 branches: He's distribution over 4, of values and first layers.
    if (p.key().ends_with("qkv.weight"))
      squares += p.value().narrow(0, 128, 64).square().mean().item<double>();
    if (p.key().ends_with("fc1.weight")) {
      EXPECT_NEAR(rms(p.value()) / std::sqrt(2.0 / 64) * 4, 1, 0.03);
    }
  }
  EXPECT_NEAR(std::sqrt(squares / 8) / std::sqrt(2.0 / 64) * 4, 1, 0.03);
}

TEST(Fixup, EveryImageIsItsOwn) {
  const at::NoGradGuard no_grad;
  const auto model = models().create({"fixup_resnet_cifar", {{"n", 1}, {"width", 4}}}, Random(1));
  for (at::Tensor& p : model->parameters()) p.add_(0.1);
  at::Tensor x = fixup_images(3);
  const at::Tensor before = model->forward(x);
  x[1].mul_(-2);
  const at::Tensor after = model->forward(x);
  EXPECT_TRUE(after[0].equal(before[0]) && after[2].equal(before[2]));
  EXPECT_FALSE(after[1].equal(before[1]));
}

TEST(BranchStyle, WithoutLeadingTheBranchStartsAtItsWeights) {
  const at::NoGradGuard no_grad;
  for (const auto kind : {BlockKind::basic, BlockKind::bottleneck}) {
    ResidualBlockOptions o{.in = 8, .planes = 8, .order = BlockOrder::pre};
    Stage with(kind, 1, o, Random(1));
    o.style.leading = false;
    Stage without(kind, 1, o, Random(1));
    EXPECT_FALSE(without.named_children()["0"]->named_children().contains("bn1"));
    const at::Tensor x = torch::randn({2, 8, 5, 5});
    const auto& bn =
        std::dynamic_pointer_cast<BatchNorm2d>(with.named_children()["0"]->named_children()["bn1"]);
    EXPECT_TRUE(torch::allclose(without.blocks()[0]->branch(batch_norm_act(*bn, x, Act::relu)),
                                with.blocks()[0]->branch(x), 1e-5, 1e-6));
  }
  EXPECT_EQ(MlpBlock({}, {.leading = false}, Random(0)).norm, nullptr);
}

TEST(BranchStyle, ScalesWhatTheFirstWeightsSee) {
  const at::NoGradGuard no_grad;
  const at::Tensor x = torch::randn({2, 8, 5, 5});
  for (const auto order : {BlockOrder::pre, BlockOrder::post}) {
    ResidualBlockOptions o{
        .in = 8, .planes = 8, .order = order, .has_shortcut = false, .style = {.norm = false}};
    BasicBlock plain(o, Random(1));
    o.style.input_scale = 0.25;
    BasicBlock scaled(o, Random(1));
    EXPECT_TRUE(torch::allclose(scaled.branch(x), plain.branch(0.25 * x), 1e-5, 1e-6));
  }
}

}  // namespace
}  // namespace residua
