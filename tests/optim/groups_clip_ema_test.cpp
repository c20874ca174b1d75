#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/optim/clip.h"
#include "residua/optim/ema.h"
#include "residua/optim/parameter_groups.h"

namespace residua {
namespace {

struct SmallNet : torch::nn::Module {
  SmallNet() {
    torch::manual_seed(5);
    conv = register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 4, 3)));
    norm = register_module("norm", torch::nn::BatchNorm2d(4));
    fc = register_module("fc", torch::nn::Linear(4, 2));
  }
  at::Tensor forward(const at::Tensor& x) {
    return fc->forward(norm->forward(conv->forward(x)).mean({2, 3}));
  }
  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d norm{nullptr};
  torch::nn::Linear fc{nullptr};
};

using Names = std::vector<std::string>;

TEST(ParameterGroups, NormsAndBiasesDoNotDecay) {
  const SmallNet net;
  const auto groups = parameter_groups(net, {.weight_decay = 0.01});
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].names, (Names{"conv.weight", "fc.weight"}));
  EXPECT_EQ(groups[0].weight_decay, 0.01);
  EXPECT_EQ(groups[1].names, (Names{"conv.bias", "norm.weight", "norm.bias", "fc.bias"}));
  EXPECT_EQ(groups[1].weight_decay, 0);
  EXPECT_EQ(parameter_groups(net, {.decay_norm_and_bias = true}).size(), 1u);
}

TEST(ParameterGroups, LaterRulesOverrideEarlierOnes) {
  const SmallNet net;
  const auto groups = parameter_groups(
      net, {.weight_decay = 0.01,
            .rules = {"fc.*: lr_scale=10, weight_decay=0.5", "fc.bias: lr_scale = 2"}});
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups[2].names, Names{"fc.weight"});
  EXPECT_EQ(groups[2].lr_scale, 10);
  EXPECT_EQ(groups[2].weight_decay, 0.5);
  EXPECT_EQ(groups[3].names, Names{"fc.bias"});
  EXPECT_EQ(groups[3].lr_scale, 2);
}

TEST(ParameterGroups, FrozenParametersAreLeftOut) {
  const SmallNet net;
  net.conv->weight.requires_grad_(false);
  for (const auto& group : parameter_groups(net))
    EXPECT_EQ(std::count(group.names.begin(), group.names.end(), "conv.weight"), 0);
}

TEST(ParameterGroups, RefusesBadRules) {
  const SmallNet net;
  for (const char* rule :
       {"fc.*", "fc.*: speed=1", "fc.*: lr_scale", "fc.*: lr_scale=fast", "fc.*: lr_scale=-1",
        ": lr_scale=1", "head.*: lr_scale=1", "fc.*: lr_scale=nan", "fc.*: "})
    EXPECT_THROW(parameter_groups(net, {.rules = {rule}}), Error) << rule;
}

std::vector<at::Tensor> with_gradients() {
  torch::manual_seed(9);
  std::vector<at::Tensor> parameters{torch::randn({7}), torch::randn({300, 401}),
                                     torch::randn({5, 6}, torch::kDouble), torch::randn({3})};
  for (size_t i = 0; i < 3; ++i) parameters[i].mutable_grad() = torch::randn_like(parameters[i]);
  return parameters;
}

TEST(Clip, NormEqualsPyTorch) {
  for (const double limit : {1.0, 1e4}) {
    const auto ours = with_gradients(), theirs = with_gradients();
    const double norm = clip_grad_norm(ours, limit);
    std::vector<at::Tensor> list(theirs.begin(), theirs.begin() + 3);
    const double expected = torch::nn::utils::clip_grad_norm_(list, limit);
    EXPECT_NEAR(norm, expected, 1e-5 * expected);
    for (size_t i = 0; i < 3; ++i)
      EXPECT_TRUE(at::allclose(ours[i].grad(), theirs[i].grad(), 1e-5, 1e-8)) << i;
    EXPECT_FALSE(ours[3].grad().defined());
  }
}

TEST(Clip, NotFiniteNormIsReported) {
  const auto parameters = with_gradients();
  parameters[1].grad()[0][0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(clip_grad_norm(parameters, 1)));
  EXPECT_THROW(clip_grad_norm(parameters, 0), Error);
}

TEST(Clip, ValueClampsEachElement) {
  const auto parameters = with_gradients();
  clip_grad_value(parameters, 0.25);
  EXPECT_FLOAT_EQ(parameters[1].grad().abs().max().item<float>(), 0.25f);
}

TEST(EmaTest, FollowsTheClosedForm) {
  SmallNet net;
  torch::NoGradGuard no_grad;
  net.fc->weight.fill_(0);
  Ema ema(net, {.decay = 0.9, .warmup = false});
  net.fc->weight.fill_(1);
  net.norm->num_batches_tracked.fill_(12);
  for (int i = 0; i < 10; ++i) ema.update();
  const EmaScope scope(ema);
  // After n updates with a constant 1 the average is 1 - decay^n.
  EXPECT_NEAR(net.fc->weight[0][0].item<double>(), 1 - std::pow(0.9, 10), 1e-6);
  EXPECT_EQ(net.norm->num_batches_tracked.item<int64_t>(), 12);
}

TEST(EmaTest, SwapIsUndoneExactlyAndKeepsTheParameters) {
  SmallNet net;
  const at::Tensor parameter = net.conv->weight, before = parameter.detach().clone();
  Ema ema(net, {});
  {
    torch::NoGradGuard no_grad;
    parameter.add_(1);
  }
  {
    const EmaScope scope(ema);
    EXPECT_TRUE(parameter.equal(before));
    EXPECT_THROW(ema.update(), Error);
  }
  EXPECT_TRUE(parameter.equal(before + 1));
  EXPECT_TRUE(parameter.is_same(net.conv->weight));
  EXPECT_TRUE(parameter.requires_grad());
  net.forward(torch::randn({2, 3, 5, 5})).sum().backward();
  EXPECT_TRUE(parameter.grad().defined());
}

TEST(EmaTest, WarmupShortensTheMemory) {
  SmallNet net;
  Ema ema(net, {.decay = 0.5});
  EXPECT_DOUBLE_EQ(ema.decay(), 0.1);
  for (int i = 0; i < 20; ++i) ema.update();
  EXPECT_DOUBLE_EQ(ema.decay(), 0.5);
}

TEST(EmaTest, StateRestores) {
  SmallNet net;
  Ema ema(net, {});
  {
    torch::NoGradGuard no_grad;
    net.fc->weight.add_(1);
  }
  ema.update();
  Ema other(net, {});
  other.load_state(ema.state());
  EXPECT_DOUBLE_EQ(other.decay(), ema.decay());
  const auto a = ema.state(), b = other.state();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].second.equal(b[i].second)) << a[i].first;
  auto broken = a;
  broken.erase(broken.begin());
  EXPECT_THROW(other.load_state(broken), Error);
}

}  // namespace
}  // namespace residua
