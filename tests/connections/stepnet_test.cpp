// Step sizes and channel attention against their formulas and the policies that they contain.
#include "residua/connections/stepnet.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <functional>

#include "carriers.h"
#include "residua/core/error.h"
#include "residua/models/vision/residual_block.h"

namespace residua {
namespace {

// Sets the last layer of every step size to the constants `bias`, whatever the state.
void set_constant_steps(StreamModel& model, const std::function<at::Tensor(int64_t size)>& bias) {
  const at::NoGradGuard no_grad;
  for (auto& p : model.named_parameters()) {
    if (p.key().ends_with("fc2.weight") && p.key().starts_with("connection")) p.value().zero_();
    if (p.key().ends_with("fc2.bias") && p.key().starts_with("connection"))
      p.value().copy_(bias(p.value().size(0)));
  }
}

TEST(StepNet, WithFullStepsIsTheResidualNetwork) {
  for (const TinyCarrier& carrier : tiny_carriers()) {
    const auto plain = carrier.make("scaled"), model = carrier.make("stepnet");
    set_constant_steps(*model, [](int64_t size) { return torch::full({size}, 50.0); });
    const at::Tensor x = carrier.input(3);
    for (const bool training : {true, false}) {
      plain->train(training);
      model->train(training);
      EXPECT_TRUE(plain->forward(x).equal(model->forward(x))) << carrier.label;
    }
  }
}

TEST(StepNet, WithConstantStepsScalesEachChannel) {
  const TinyCarrier& carrier = tiny_carrier("cifar_b");
  const auto model = carrier.make("stepnet");
  torch::manual_seed(1);
  std::vector<at::Tensor> biases;
  set_constant_steps(*model, [&](int64_t size) {
    biases.push_back(torch::randn({size}));
    return biases.back();
  });
  const auto streams = stream_trace(*model, carrier.input(3));
  const auto blocks = blocks_of(*model);
  const at::NoGradGuard no_grad;
  for (size_t i = 1; i < blocks.size(); ++i) {
    const at::Tensor& x = streams[i - 1];
    const at::Tensor s = biases[i].sigmoid().view({1, -1, 1, 1});
    EXPECT_TRUE(torch::allclose(
        streams[i], (blocks[i]->shortcut(x) + s * blocks[i]->branch(x)).relu(), 1e-5, 1e-6));
  }
}

TEST(StepNet, ChoosesTheStepFromStateIncrementAndSecondDifference) {
  const TinyCarrier& carrier = tiny_carrier("cifar");
  const auto model = carrier.make({"stepnet", {{"difference", true}, {"refine", true}}});
  const auto streams = stream_trace(*model, carrier.input(3));
  const auto blocks = blocks_of(*model);
  const auto p = model->named_parameters();
  const at::NoGradGuard no_grad;
  for (size_t i = 1; i < blocks.size(); ++i) {
    const bool border = blocks[i]->options().stride != 1;
    const at::Tensor x = blocks[i]->shortcut(streams[i - 1]), y = blocks[i]->branch(streams[i - 1]);
    // The first site is not seen here; the second one's past is the stream after the stem.
    if (!border && i == 1) continue;
    const at::Tensor before = border ? x : blocks[i - 1]->shortcut(streams[i - 2]);
    const at::Tensor provisional = x + y;
    const auto mean = [](const at::Tensor& v) { return v.mean({2, 3}); };
    const at::Tensor u =
        torch::cat({mean(x), mean(y), mean(y - x), mean((provisional - 2 * x + before).abs())}, 1);
    const std::string site = "connection." + std::to_string(i) + ".";
    const at::Tensor normed =
        torch::layer_norm(u, {u.size(1)}, p[site + "norm.weight"], p[site + "norm.bias"]);
    const at::Tensor inner =
        torch::linear(normed, p[site + "fc1.weight"], p[site + "fc1.bias"]).relu();
    const at::Tensor s =
        torch::linear(inner, p[site + "fc2.weight"], p[site + "fc2.bias"]).sigmoid();
    EXPECT_TRUE(
        torch::allclose(streams[i], (x + s.unsqueeze(-1).unsqueeze(-1) * y).relu(), 1e-4, 1e-5))
        << i;
  }
}

TEST(Attention, WeighsTheBranch) {
  for (const char* kind : {"se", "eca", "cbam", "srm"}) {
    const TinyCarrier& carrier = tiny_carrier("cifar_b");
    const auto model = carrier.make({"attention", {{"kind", kind}}});
    const auto streams = stream_trace(*model, carrier.input(3));
    const auto blocks = blocks_of(*model);
    const at::NoGradGuard no_grad;
    for (size_t i = 1; i < blocks.size(); ++i) {
      const at::Tensor s = blocks[i]->shortcut(streams[i - 1]);
      const at::Tensor y = blocks[i]->branch(streams[i - 1]);
      // All four weights lie between 0 and 1, so the sum lies between its ends.
      const at::Tensor least = torch::minimum(s, s + y).relu(),
                       most = torch::maximum(s, s + y).relu();
      EXPECT_TRUE(streams[i].ge(least - 1e-5).all().item<bool>()) << kind;
      EXPECT_TRUE(streams[i].le(most + 1e-5).all().item<bool>()) << kind;
      EXPECT_FALSE(torch::allclose(streams[i], (s + y).relu())) << kind;
    }
  }
}

TEST(Attention, RefusesWhereItsMeansWouldNotBeMeans) {
  const std::vector<Site> sites = numbered({Site{.c_in = 4, .c_out = 4}});
  const auto refused = [&](const char* kind, CarrierKind carrier) {
    try {
      connections().create({"attention", {{"kind", kind}}}, Carrier{carrier, sites}, Random(0));
      return false;
    } catch (const Error& e) {
      return e.kind() == ErrorKind::unsupported;
    }
  };
  for (const char* kind : {"se", "eca", "cbam", "srm"})
    EXPECT_TRUE(refused(kind, CarrierKind::gpt)) << kind;
  EXPECT_TRUE(refused("cbam", CarrierKind::vit));
  EXPECT_TRUE(refused("srm", CarrierKind::mlp));
  EXPECT_FALSE(refused("srm", CarrierKind::vit));
  EXPECT_FALSE(refused("eca", CarrierKind::mlp));
}

}  // namespace
}  // namespace residua
