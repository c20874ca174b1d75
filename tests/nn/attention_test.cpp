#include "residua/nn/attention.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/nn/decode_cache.h"
#include "residua/nn/feed_forward.h"
#include "residua/nn/rms_norm.h"
#include "residua/nn/rotary.h"

namespace residua {
namespace {

at::Tensor normal(at::IntArrayRef shape, int64_t seed) {
  torch::manual_seed(seed);
  return torch::randn(shape, at::kDouble);
}

// Equation 1 of "Attention Is All You Need", one number after the other.
at::Tensor by_hand(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal) {
  const int64_t batch = q.size(0), heads = q.size(1), queries = q.size(2), d = q.size(3);
  const int64_t positions = k.size(2), copies = heads / k.size(1);
  at::Tensor out = at::zeros({batch, heads, queries, v.size(3)}, at::kDouble);
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < queries; ++i) {
        const int64_t seen = causal ? positions - queries + i + 1 : positions;
        double total = 0;
        for (int64_t j = 0; j < seen; ++j) {
          const double dot = (q[n][h][i] * k[n][h / copies][j]).sum().item<double>();
          const double weight = std::exp(dot / std::sqrt(static_cast<double>(d)));
          total += weight;
          out[n][h][i] += weight * v[n][h / copies][j];
        }
        out[n][h][i] /= total;
      }
  return out;
}

TEST(Attention, FollowsItsEquation) {
  const AttentionCore core(0);
  for (const int64_t kv_heads : {4, 2, 1})
    for (const bool causal : {false, true})
      for (const int64_t queries : {5, 2, 1}) {
        const at::Tensor q = normal({2, 4, queries, 3}, 1), k = normal({2, kv_heads, 5, 3}, 2);
        const at::Tensor v = normal({2, kv_heads, 5, 6}, 3);
        EXPECT_TRUE(core.forward(q, k, v, causal).allclose(by_hand(q, k, v, causal), 1e-12, 1e-12))
            << kv_heads << causal << queries;
        EXPECT_TRUE(attention_weights(q, k, causal)
                        .sum(-1)
                        .allclose(at::ones({2, 4, queries}, at::kDouble)));
      }
}

TEST(Attention, SplitsAndJoinsHeadsInOrder) {
  Attention attention({.dim = 6, .heads = 3, .kv_heads = 1}, Random(1));
  attention.to(at::kDouble);
  const at::Tensor x = normal({2, 4, 6}, 1);
  const auto [q, k, v] = attention.project(x);
  const at::Tensor all = at::linear(x, attention.in->weight, attention.in->bias);
  EXPECT_EQ(all.size(-1), 6 + 2 + 2);
  for (int64_t h = 0; h < 3; ++h) {
    EXPECT_TRUE(q.select(1, h).equal(all.narrow(2, 2 * h, 2)));
  }
  EXPECT_TRUE(k.select(1, 0).equal(all.narrow(2, 6, 2)));
  EXPECT_TRUE(v.select(1, 0).equal(all.narrow(2, 8, 2)));
  const at::Tensor joined = at::cat({q.select(1, 0), q.select(1, 1), q.select(1, 2)}, 2);
  EXPECT_TRUE(attention.output(q).allclose(attention.out->forward(joined)));
}

TEST(Attention, LeavesOutProjectionsThatOthersBring) {
  const Attention attention({.dim = 6, .heads = 3, .value = false}, Random(1));
  EXPECT_EQ(attention.in->weight.size(0), 12);
  EXPECT_FALSE(attention.project(torch::zeros({1, 2, 6})).v.defined());
  EXPECT_THROW(Attention({.dim = 6, .heads = 4}, Random(1)), Error);
  EXPECT_THROW(Attention({.dim = 6, .heads = 3, .kv_heads = 2}, Random(1)), Error);
}

TEST(Rotary, ProductsDependOnDistancesAlone) {
  const Rotary rotary(6, 100);
  const at::Tensor q = normal({1, 6}, 1), k = normal({1, 6}, 2);
  const auto product = [&](int64_t i, int64_t j) {
    return (rotary.apply(q, i) * rotary.apply(k, j)).sum().item<double>();
  };
  EXPECT_NEAR(product(0, 3), product(7, 10), 1e-12);
  EXPECT_GT(std::abs(product(0, 3) - product(0, 4)), 1e-3);
  EXPECT_NEAR(rotary.apply(q, 5).norm().item<double>(), q.norm().item<double>(), 1e-12);
  EXPECT_TRUE(rotary.apply(q, 0).equal(q));
}

TEST(Rotary, TurnsPairsByTheirAngles) {
  const Rotary rotary(4, 100);
  const at::Tensor x = normal({3, 4}, 1), y = rotary.apply(x, 0);
  for (int64_t t = 0; t < 3; ++t)
    for (int64_t i = 0; i < 2; ++i) {
      const double angle = static_cast<double>(t) * std::pow(100.0, -static_cast<double>(i) / 2);
      const double a = x[t][i].item<double>(), b = x[t][i + 2].item<double>();
      EXPECT_NEAR(y[t][i].item<double>(), a * std::cos(angle) - b * std::sin(angle), 1e-12);
      EXPECT_NEAR(y[t][i + 2].item<double>(), b * std::cos(angle) + a * std::sin(angle), 1e-12);
    }
  EXPECT_TRUE(rotary.apply(x.narrow(0, 1, 2), 1).equal(y.narrow(0, 1, 2)));
  EXPECT_THROW(Rotary(5, 100), Error);
}

TEST(RmsNorm, DividesByTheRootMeanSquare) {
  RmsNorm norm(3, 0.25);
  norm.to(at::kDouble);
  norm.weight.detach().copy_(torch::tensor({1.0, 2.0, 3.0}, at::kDouble));
  const at::Tensor y = norm.forward(torch::tensor({1.0, -1.0, 0.5}, at::kDouble));
  const double root = std::sqrt((1 + 1 + 0.25) / 3 + 0.25);
  EXPECT_TRUE(y.allclose(torch::tensor({1.0, -2.0, 1.5}, at::kDouble) / root));
}

TEST(FeedForward, GatesWhereAsked) {
  FeedForward mlp({.dim = 3, .hidden = 5, .act = Activation::silu, .gated = true, .bias = false},
                  Random(1));
  mlp.to(at::kDouble);
  const at::Tensor x = normal({2, 3}, 1);
  const at::Tensor gate = at::matmul(x, mlp.gate->weight.t());
  const at::Tensor inner = gate * gate.sigmoid() * at::matmul(x, mlp.first->weight.t());
  EXPECT_TRUE(mlp.forward(x).allclose(at::matmul(inner, mlp.second->weight.t()), 1e-12, 1e-12));
}

TEST(DecodeCache, KeepsWhatIsAppendedAndCountsIt) {
  DecodeCache cache;
  cache.append(2, torch::ones({1, 2, 3, 4}), 2);
  EXPECT_EQ(cache.append(2, torch::zeros({1, 2, 1, 4}), 2).size(2), 4);
  EXPECT_EQ(cache.bytes(), 4 * 2 * 4 * 4);
  EXPECT_FALSE(cache.at(0).defined());
}

}  // namespace
}  // namespace residua
