#include "residua/nn/moe.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>

#include "residua/core/error.h"

namespace residua {
namespace {

constexpr int64_t kDim = 6, kHidden = 10;

std::shared_ptr<Moe> double_moe(const MoeOptions& options) {
  const auto moe = std::make_shared<Moe>(options, Random(1));
  moe->to(at::kDouble);
  return moe;
}

MoeOptions four_experts() {
  return {.dim = kDim, .hidden = kHidden, .experts = 4, .top_k = 2, .capacity_factor = 0};
}

at::Tensor token_batch() {
  torch::manual_seed(4);
  return torch::randn({3, 7, kDim}, at::kDouble);
}

at::Tensor expert_output(const Moe& moe, int64_t e, const at::Tensor& x, bool act_after = false) {
  const auto p = moe.named_parameters();
  const std::string name = "experts." + std::to_string(e) + ".";
  const at::Tensor hidden = at::gelu(at::linear(x, p[name + "fc1.weight"], p[name + "fc1.bias"]));
  const at::Tensor y = at::linear(hidden, p[name + "fc2.weight"], p[name + "fc2.bias"]);
  return act_after ? at::gelu(y) : y;
}

double largest_gap(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

TEST(Moe, WithAllExpertsIsTheDenseMixture) {
  for (const bool act_after : {false, true}) {
    MoeOptions o = four_experts();
    o.top_k = o.experts;
    o.act_after = act_after;
    const auto moe = double_moe(o);
    const at::Tensor x = token_batch();
    const at::Tensor gates = at::linear(x, moe->router->weight).softmax(-1);
    at::Tensor expected = torch::zeros_like(x);
    for (int64_t e = 0; e < 4; ++e)
      expected = expected + gates.narrow(-1, e, 1) * expert_output(*moe, e, x, act_after);
    EXPECT_LT(largest_gap(moe->forward(x).y, expected), 1e-12);
  }
}

TEST(Moe, RunsTheBestExpertsOfEachToken) {
  for (const bool normalize : {false, true}) {
    MoeOptions o = four_experts();
    o.normalize = normalize;
    const auto moe = double_moe(o);
    const at::Tensor x = token_batch().reshape({-1, kDim}), y = moe->forward(x).y;
    for (int64_t t = 0; t < x.size(0); ++t) {
      const at::Tensor p = at::linear(x[t], moe->router->weight).softmax(-1);
      const at::Tensor order = p.argsort(-1, true);
      const int64_t a = order[0].item<int64_t>(), b = order[1].item<int64_t>();
      at::Tensor expected =
          p[a] * expert_output(*moe, a, x[t]) + p[b] * expert_output(*moe, b, x[t]);
      if (normalize) expected = expected / (p[a] + p[b]);
      EXPECT_LT(largest_gap(y[t], expected), 1e-12) << t;
    }
  }
}

TEST(Moe, PermutedExpertsGiveTheSameOutput) {
  const auto first = double_moe(four_experts()), second = double_moe(four_experts());
  const int64_t order[] = {2, 0, 3, 1};
  auto from = first->named_parameters(), to = second->named_parameters();
  const at::NoGradGuard no_grad;
  for (int64_t e = 0; e < 4; ++e) {
    to["router.weight"][e].copy_(from["router.weight"][order[e]]);
    for (const char* rest : {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"})
      to["experts." + std::to_string(e) + "." + rest].copy_(
          from["experts." + std::to_string(order[e]) + "." + rest]);
  }
  EXPECT_LT(largest_gap(first->forward(token_batch()).y, second->forward(token_batch()).y), 1e-12);
}

TEST(Moe, GradientsAreRight) {
  MoeOptions o = four_experts();
  o.capacity_factor = 1;
  const auto moe = double_moe(o);
  const at::Tensor x = token_batch().slice(0, 0, 1).requires_grad_();
  const auto loss = [&] {
    const Moe::Output out = moe->forward(x);
    return out.y.sin().sum() + out.routes.balance + 0.1 * out.routes.z;
  };
  std::vector<at::Tensor> leaves = moe->parameters();
  leaves.push_back(x);
  const auto grads = torch::autograd::grad({loss()}, leaves, {}, {}, false, /*allow_unused=*/true);
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < leaves.size(); ++i) {
    ASSERT_TRUE(grads[i].defined()) << i;
    for (const int64_t at : {int64_t{0}, leaves[i].numel() - 1}) {
      at::Tensor flat = leaves[i].view(-1);
      const double before = flat[at].item<double>(), step = 1e-6;
      flat[at] = before + step;
      const double above = loss().item<double>();
      flat[at] = before - step;
      const double below = loss().item<double>();
      flat[at] = before;
      EXPECT_NEAR(grads[i].view(-1)[at].item<double>(), (above - below) / (2 * step), 1e-7) << i;
    }
  }
}

// The queues one assignment at a time.
TEST(MoeRoutes, CapacityIsFilledByFirstChoicesFirst) {
  torch::manual_seed(1);
  const int64_t tokens = 23, experts = 4, k = 2;
  const at::Tensor logits = 2 * torch::randn({tokens, experts}, at::kDouble);
  const double factor = 0.8;
  const MoeRoutes r = moe_routes(logits, k, factor, false);
  const auto capacity = static_cast<int64_t>(std::ceil(factor * k * tokens / experts));
  std::map<std::pair<int64_t, int64_t>, double> expected;  // (expert, token) -> gate
  std::vector<int64_t> used(experts);
  int64_t dropped = 0;
  const at::Tensor p = logits.softmax(-1);
  for (int64_t rank = 0; rank < k; ++rank)
    for (int64_t t = 0; t < tokens; ++t) {
      const int64_t e = p[t].argsort(-1, true)[rank].item<int64_t>();
      if (used[static_cast<size_t>(e)] < capacity) {
        ++used[static_cast<size_t>(e)];
        expected[{e, t}] = p[t][e].item<double>();
      } else {
        ++dropped;
      }
    }
  EXPECT_GT(dropped, 0);
  EXPECT_EQ(r.dropped, dropped);
  EXPECT_EQ(r.counts, used);
  ASSERT_EQ(r.tokens.size(0), static_cast<int64_t>(expected.size()));
  int64_t row = 0;
  for (const auto& [place, gate] : expected) {
    EXPECT_EQ(r.experts[row].item<int64_t>(), place.first);
    EXPECT_EQ(r.tokens[row].item<int64_t>(), place.second);
    EXPECT_EQ(r.gates[row].item<double>(), gate);
    ++row;
  }
}

TEST(MoeRoutes, TokensWithoutRoomGiveZero) {
  MoeOptions o = four_experts();
  o.experts = 2;
  o.top_k = 1;
  o.capacity_factor = 0.5;
  const auto moe = double_moe(o);
  moe->router->weight.detach().zero_()[0].fill_(1);  // all tokens of positive sum to expert 0
  const at::Tensor x = torch::rand({8, kDim}, at::kDouble) + 0.1;
  const Moe::Output out = moe->forward(x);
  EXPECT_EQ(out.routes.counts, (std::vector<int64_t>{2, 0}));  // ceil(0.5 * 8 / 2)
  EXPECT_EQ(out.routes.dropped, 6);
  EXPECT_GT(out.y.slice(0, 0, 2).abs().min().item<double>(), 0);
  EXPECT_EQ(out.y.slice(0, 2).abs().max().item<double>(), 0);
}

TEST(MoeRoutes, BalanceIsOneForAUniformRouter) {
  // The probabilities are equal to the last bit; whoever is called first, P_i = 1/E makes it 1.
  EXPECT_NEAR(moe_routes(torch::zeros({12, 4}, at::kDouble), 2, 0, false).balance.item<double>(), 1,
              1e-12);
  // All tokens at one expert with certainty: E.
  const at::Tensor one_sided =
      torch::tensor({{50.0, 0.0, 0.0, 0.0}}, torch::kDouble).repeat({12, 1});
  EXPECT_NEAR(moe_routes(one_sided, 2, 0, false).balance.item<double>(), 4, 1e-12);
  EXPECT_NEAR(moe_routes(torch::zeros({3, 4}, at::kDouble), 2, 0, false).z.item<double>(),
              std::log(4.0) * std::log(4.0), 1e-12);
}

TEST(Moe, RefusesMoreChoicesThanExperts) {
  MoeOptions o = four_experts();
  o.top_k = 5;
  EXPECT_THROW(Moe(o, Random(1)), Error);
}

}  // namespace
}  // namespace residua
