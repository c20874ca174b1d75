#include "residua/models/language/sharded_gpt.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/train/distributed/ranks.h"

namespace residua {
namespace {

GptOptions tiny_llama(const Component& connection) {
  return {.dim = 16,
          .depth = 3,
          .heads = 4,
          .kv_heads = 2,
          .ctx = 16,
          .vocab_size = 11,
          .norm = VectorNormKind::rms,
          .positions = GptPositions::rotary,
          .mlp = GptMlp::swiglu,
          .bias = false,
          .connection = connection};
}

at::Tensor toy_text() {
  torch::manual_seed(3);
  return torch::randint(11, {2, 9}, at::kLong);
}

// Logits of a prompt of five tokens and of four more, one by one.
template <class Model>
at::Tensor decoded(Model& model, const at::Tensor& ids) {
  const at::NoGradGuard no_grad;
  DecodeCache cache;
  std::vector<at::Tensor> logits{model.decode(ids.narrow(1, 0, 5), cache)};
  for (int64_t t = 5; t < ids.size(1); ++t)
    logits.push_back(model.decode(ids.narrow(1, t, 1), cache));
  return at::cat(logits, 1);
}

struct ShardCase {
  Component connection;
  int64_t sums;  // of a pass
};

TEST(ShardedGpt, OnTwoRanksEqualsOne) {
  const std::vector<ShardCase> cases{{"identity", 6},
                                     {"ladder", 6},
                                     {{"ladder", {{"last", 2}}}, 6},
                                     {{"desync", {{"period", 1}}}, 6},
                                     {{"parallel", {{"k", 2}, {"kinds", "mixed"}}}, 3}};
  for (const ShardCase& c : cases) {
    const auto whole = std::make_shared<Gpt>(tiny_llama(c.connection), Random(1));
    whole->eval();
    const at::Tensor ids = toy_text(), expected = decoded(*whole, ids);
    run_rank_threads(2, [&](const std::shared_ptr<Collective>& ranks) {
      ShardedGpt part(whole, ranks);
      const at::Tensor received = decoded(part, ids);
      EXPECT_LT((received - expected).abs().max().item<double>(), 1e-5) << c.connection.name;
      EXPECT_EQ(ranks->sums(), 5 * c.sums) << c.connection.name;
    });
  }
}

TEST(ShardedGpt, BiasesAreAddedOnce) {
  GptOptions o = tiny_llama("identity");
  o.bias = true;
  o.norm = VectorNormKind::layer;
  o.mlp = GptMlp::gelu;
  o.positions = GptPositions::learned;
  o.kv_heads = 0;
  const auto whole = std::make_shared<Gpt>(o, Random(1));
  torch::manual_seed(1);
  for (at::Tensor& p : whole->parameters()) p.detach().add_(0.1 * torch::randn_like(p));
  whole->eval();
  const at::Tensor ids = toy_text(), expected = decoded(*whole, ids);
  run_rank_threads(4, [&](const std::shared_ptr<Collective>& ranks) {
    ShardedGpt part(whole, ranks);
    EXPECT_LT((decoded(part, ids) - expected).abs().max().item<double>(), 1e-5);
  });
}

TEST(ShardedGpt, DesyncSumsLessAndStaysEqualOnAllRanks) {
  const auto whole = std::make_shared<Gpt>(tiny_llama({"desync", {{"period", 4}}}), Random(1));
  whole->eval();
  const at::Tensor ids = toy_text();
  std::vector<at::Tensor> logits(2);
  run_rank_threads(2, [&](const std::shared_ptr<Collective>& ranks) {
    ShardedGpt part(whole, ranks);
    logits[static_cast<size_t>(ranks->rank())] = decoded(part, ids);
    EXPECT_EQ(ranks->sums(), 5 * 2);  // after the fourth branch and the last
  });
  EXPECT_TRUE(logits[0].equal(logits[1]));
  EXPECT_GT((logits[0] - decoded(*whole, ids)).abs().max().item<double>(), 1e-4);
}

TEST(ShardedGpt, OneRankDoesNotSum) {
  const auto whole = std::make_shared<Gpt>(tiny_llama("ladder"), Random(1));
  whole->eval();
  const auto alone = without_sums(0, 1);
  ShardedGpt part(whole, alone);
  EXPECT_LT((decoded(part, toy_text()) - decoded(*whole, toy_text())).abs().max().item<double>(),
            1e-5);
}

TEST(ShardedGpt, RanksShareTheBranches) {
  const auto whole = std::make_shared<Gpt>(tiny_llama("identity"), Random(1));
  const ShardedGpt one(whole, without_sums(0, 1)), half(whole, without_sums(1, 2));
  EXPECT_EQ(one.branch_bytes(), 2 * half.branch_bytes());
  EXPECT_THROW(ShardedGpt(whole, without_sums(0, 3)), Error);
}

}  // namespace
}  // namespace residua
