#include "residua/models/language/gpt.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/nn/init.h"

namespace residua {
namespace {

int64_t count_parameters(const Model& model) {
  int64_t count = 0;
  for (const at::Tensor& p : model.parameters()) count += p.numel();
  return count;
}

TEST(Gpt, HasTheParametersOfGpt2) {
  const SkipInitialization only_shapes;
  const auto model = models().create("gpt2", Random(1));
  EXPECT_EQ(count_parameters(*model), 124'439'808);  // as published, the tied matrix once
  const auto p = model->named_parameters();
  for (const char* name :
       {"transformer.wte.weight", "transformer.wpe.weight", "transformer.h.11.ln_1.bias",
        "transformer.h.0.attn.c_attn.weight", "transformer.h.0.attn.c_proj.bias",
        "transformer.h.0.ln_2.weight", "transformer.h.0.mlp.c_fc.weight",
        "transformer.h.0.mlp.c_proj.weight", "transformer.ln_f.weight"})
    EXPECT_TRUE(p.contains(name)) << name;
  EXPECT_FALSE(p.contains("lm_head.weight"));
}

TEST(Gpt, BeginsWithGpt2sWeights) {
  const Gpt model({.dim = 64, .depth = 8}, Random(1));
  const auto p = model.named_parameters();
  const double last = 0.02 / std::sqrt(16.0);
  EXPECT_NEAR(p["transformer.h.3.mlp.c_fc.weight"].std().item<double>(), 0.02, 5e-4);
  EXPECT_NEAR(p["transformer.h.3.mlp.c_proj.weight"].std().item<double>(), last, 2e-4);
  EXPECT_NEAR(p["transformer.h.3.attn.c_proj.weight"].std().item<double>(), last, 3e-4);
  EXPECT_EQ(p["transformer.h.3.mlp.c_fc.bias"].abs().max().item<double>(), 0);
}

TEST(Gpt, TiesTheOutputToTheEmbedding) {
  const auto model = std::make_shared<Gpt>(GptOptions{.dim = 8, .depth = 1, .heads = 2}, Random(1));
  const at::Tensor stream = torch::randn({1, 2, 8});
  const at::Tensor normed = at::layer_norm(stream, {8});
  const at::Tensor wte = model->named_parameters()["transformer.wte.weight"];
  EXPECT_TRUE(model->unembed(stream).allclose(at::matmul(normed, wte.t()), 1e-5, 1e-6));
  model->to(at::kDouble);  // the tie holds when the parameters are replaced
  EXPECT_EQ(model->unembed(stream.to(at::kDouble)).scalar_type(), at::kDouble);
}

TEST(Generate, TakesTheLikeliestTokenAtTemperatureZero) {
  const auto model = models().create(
      {"gpt", {{"vocab_size", 7}, {"ctx", 5}, {"dim", 8}, {"heads", 2}, {"depth", 1}}}, Random(2));
  const at::Tensor prompt = torch::tensor({{1, 2}, {3, 0}}, at::kLong);
  const at::Tensor text = generate(*model, prompt, {.tokens = 8, .temperature = 0}, Random(1));
  ASSERT_EQ(text.sizes().vec(), (std::vector<int64_t>{2, 10}));
  EXPECT_TRUE(text.narrow(1, 0, 2).equal(prompt));
  model->eval();
  for (int64_t end = 2; end < 10; ++end) {  // beyond the context: given the last five
    const int64_t used = std::min<int64_t>(end, 5);
    const at::Tensor logits = model->forward(text.narrow(1, end - used, used)).select(1, used - 1);
    EXPECT_TRUE(logits.argmax(-1).equal(text.select(1, end))) << end;
  }
  const GenerateOptions only_best{.tokens = 8, .temperature = 3, .top_k = 1};
  EXPECT_TRUE(generate(*model, prompt, only_best, Random(5)).equal(text));
}

// Chi-squared of the first drawn token against the model's own probabilities.
TEST(Generate, DrawsWithTheModelsProbabilities) {
  const auto model = models().create(
      {"gpt", {{"vocab_size", 5}, {"ctx", 4}, {"dim", 8}, {"heads", 2}, {"depth", 1}}}, Random(2));
  model->named_parameters()["transformer.wte.weight"].detach().mul_(30);
  const int64_t draws = 4000;
  const at::Tensor prompt = torch::full({draws, 1}, 3, at::kLong);
  const at::Tensor text = generate(*model, prompt, {.tokens = 1, .temperature = 2}, Random(9));
  const at::Tensor counts = text.select(1, 1).bincount({}, 5).to(at::kDouble);
  model->eval();
  const at::Tensor p =
      at::softmax(model->forward(prompt.narrow(0, 0, 1))[0][0].to(at::kDouble) / 2, 0);
  const double chi_squared = ((counts - draws * p).square() / (draws * p)).sum().item<double>();
  EXPECT_LT(chi_squared, 18.5);  // 4 degrees of freedom: exceeded once in 1,000
  EXPECT_LT(p.max().item<double>(), 0.95);
}

TEST(Generate, IsAFunctionOfItsSeed) {
  const auto model = models().create("gpt", Random(2));
  const at::Tensor prompt = torch::zeros({1, 1}, at::kLong);
  const auto text = [&](uint64_t seed) {
    return generate(*model, prompt, {.tokens = 20}, Random(seed));
  };
  EXPECT_TRUE(text(1).equal(text(1)));
  EXPECT_FALSE(text(1).equal(text(2)));
  EXPECT_TRUE(model->is_training());
}

TEST(Generate, RefusesImageModels) {
  const auto model = models().create("mlp", Random(2));
  EXPECT_THROW(generate(*model, torch::zeros({1, 1}, at::kLong), {}, Random(1)), Error);
}

}  // namespace
}  // namespace residua
