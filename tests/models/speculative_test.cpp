#include "residua/models/language/speculative.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <numeric>

#include "residua/core/error.h"

namespace residua {
namespace {

// float64, so that one pass over many tokens and a pass for each choose alike.
std::shared_ptr<Gpt> random_gpt(uint64_t seed) {
  auto gpt = std::make_shared<Gpt>(GptOptions{.dim = 16,
                                              .depth = 4,
                                              .heads = 2,
                                              .ctx = 32,
                                              .vocab_size = 9,
                                              .connection = {"multirate", {{"gates", {1, 2}}}}},
                                   Random(seed));
  torch::manual_seed(static_cast<int64_t>(seed));
  for (at::Tensor& p : gpt->parameters())
    if (p.dim() > 1) p.detach().normal_(0, 0.3);
  gpt->to(at::kDouble);
  return gpt;
}

std::vector<int64_t> random_prompt(Random& random) {
  std::vector<int64_t> prompt(static_cast<size_t>(random.integer(1, 6)));
  for (int64_t& id : prompt) id = random.integer(0, 9);
  return prompt;
}

TEST(Speculative, WritesWhatGreedyDecodingWrites) {
  Random random(1);
  int64_t kept = 0, drafted = 0;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const auto gpt = random_gpt(seed);
    MultirateDecoder decoder(*gpt);
    for (int i = 0; i < 20; ++i) {
      const std::vector<int64_t> prompt = random_prompt(random);
      const Decoded plain = decoder.greedy(prompt, 12);
      const Decoded quick = decoder.speculative(prompt, 12, 1 + i % 4, static_cast<size_t>(i % 2),
                                                0, random.split(static_cast<uint64_t>(i)));
      ASSERT_EQ(plain.tokens, quick.tokens) << seed << " " << i;
      EXPECT_LE(quick.passes, plain.passes);
      kept += quick.kept;
      drafted += quick.drafted;
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_LT(kept, drafted);  // and some drafts were wrong
}

TEST(Speculative, GreedyIsTheModelsOwnChoice) {
  const auto gpt = random_gpt(3);
  MultirateDecoder decoder(*gpt);
  std::vector<int64_t> text{1, 2};
  const Decoded out = decoder.greedy(text, 8);
  const at::NoGradGuard no_grad;
  for (const int64_t token : out.tokens) {
    const at::Tensor logits = gpt->forward(at::tensor(text, at::kLong).unsqueeze(0));
    EXPECT_EQ(logits[0][-1].argmax().item<int64_t>(), token);
    text.push_back(token);
  }
}

TEST(EarlyExit, WithAnUnreachableThresholdIsGreedy) {
  const auto gpt = random_gpt(4);
  MultirateDecoder decoder(*gpt);
  const Decoded never = decoder.early_exit({1, 2, 3}, 10, 1);
  EXPECT_EQ(never.tokens, decoder.greedy({1, 2, 3}, 10).tokens);
  EXPECT_EQ(never.passes, 10);
  const Decoded always = decoder.early_exit({1, 2, 3}, 10, 0);
  EXPECT_EQ(always.passes, 0);
  EXPECT_EQ(always.exits, (std::vector<int64_t>{10, 0}));
}

// The blocks that were left out see the state that left, in their keys and values.
TEST(EarlyExit, FillsTheCacheFromTheStateThatLeft) {
  const auto gpt = random_gpt(5);
  const at::NoGradGuard no_grad;
  DecodeCache cache;
  const at::Tensor x = torch::randn({1, 2, 16}, at::kDouble);
  gpt->fill_cache(x, 2, cache);
  for (int64_t block = 2; block < 4; ++block) {
    const AttentionBranch& branch = *gpt->blocks()[static_cast<size_t>(block)]->attention;
    const auto expected = branch.attention->project(branch.norm->forward(x));
    EXPECT_TRUE(cache.at(2 * (2 * block)).equal(expected.k));
    EXPECT_TRUE(cache.at(2 * (2 * block) + 1).equal(expected.v));
  }
}

// The accepted or drawn token is distributed as p, whatever q is: chi-square over five tokens.
TEST(Speculative, AcceptanceKeepsTheDistribution) {
  const at::Tensor p = at::tensor({0.5, 0.2, 0.15, 0.1, 0.05}, at::kDouble);
  const at::Tensor q = at::tensor({0.1, 0.3, 0.3, 0.1, 0.2}, at::kDouble);
  Random random(11);
  constexpr int kDraws = 20000;
  std::vector<double> count(5);
  int accepted = 0;
  for (int i = 0; i < kDraws; ++i) {
    double at = random.uniform();
    int64_t token = 0;
    while (token < 4 && at >= q[token].item<double>()) at -= q[token++].item<double>();
    const Verified verified = verify_draft(p, q, token, random);
    accepted += verified.accepted ? 1 : 0;
    ++count[static_cast<size_t>(verified.token)];
  }
  double chi_square = 0;
  for (size_t i = 0; i < 5; ++i) {
    const double expected = kDraws * p[static_cast<int64_t>(i)].item<double>();
    chi_square += (count[i] - expected) * (count[i] - expected) / expected;
  }
  EXPECT_LT(chi_square, 13.28);  // 0.01 of the chi-square distribution with 4 degrees of freedom
  // Accepted with probability sum min(p, q) = 0.1 + 0.2 + 0.15 + 0.1 + 0.05.
  EXPECT_NEAR(accepted / static_cast<double>(kDraws), 0.6, 0.015);
}

TEST(MultirateDecoder, NeedsItsConnection) {
  Gpt plain({.dim = 8, .depth = 1, .heads = 1}, Random(1));
  EXPECT_THROW(MultirateDecoder{plain}, Error);
}

}  // namespace
}  // namespace residua
