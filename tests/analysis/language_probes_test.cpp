#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/analysis/probed_model.h"
#include "residua/analysis/signal/attention.h"
#include "residua/core/error.h"
#include "residua/data/text/corpus.h"
#include "residua/nn/state.h"
#include "tests/train/tiny_run.h"

namespace residua {
namespace {

TEST(AttentionMeasures, KnowEvenAndPointedAttention) {
  const at::Tensor even = at::full({2, 3, 4, 8}, 1.0 / 8);
  EXPECT_NEAR(importance_entropy(even), std::log(8.0), 1e-6);
  EXPECT_NEAR(sink_mass(even), 1.0 / 8, 1e-7);
  at::Tensor sink = at::zeros({2, 3, 4, 8});
  sink.select(3, 0).fill_(1);
  EXPECT_NEAR(importance_entropy(sink), 0, 1e-9);
  EXPECT_NEAR(sink_mass(sink), 1, 1e-9);
  // Half the queries look at token 0, half at token 5: importance (1/2, 1/2).
  at::Tensor two = at::zeros({1, 1, 4, 8});
  for (int64_t i = 0; i < 4; ++i) two[0][0][i][i % 2 == 0 ? 0 : 5] = 1;
  EXPECT_NEAR(importance_entropy(two), std::log(2.0), 1e-9);
}

TEST(AttentionMeasures, KnowNormsAndCosines) {
  at::Tensor values = at::ones({1, 2, 5, 4});
  values.select(2, 0).mul_(0.25);
  EXPECT_NEAR(value_drain(values), 0.25, 1e-7);
  torch::manual_seed(1);
  const at::Tensor x = torch::randn({2, 6, 5}, at::kDouble);
  double sum = 0;
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t i = 0; i < 6; ++i)
      for (int64_t j = 0; j < 6; ++j)
        if (i != j)
          sum += (x[n][i].dot(x[n][j]) / (x[n][i].norm() * x[n][j].norm())).item<double>() / 60;
  EXPECT_NEAR(token_similarity(x), sum, 1e-12);
  EXPECT_NEAR(token_similarity(at::ones({1, 4, 3})), 1, 1e-12);
}

TEST(AttentionMeasures, LookAtEveryLayer) {
  Gpt model({.dim = 8, .depth = 3, .heads = 2, .ctx = 6, .vocab_size = 5}, Random(1));
  for (at::Tensor& p : model.parameters()) p.detach().mul_(0);  // attention is even, values are 0
  model.eval();
  const auto layers = look_at_attention(model, torch::zeros({2, 6}, at::kLong));
  ASSERT_EQ(layers.size(), 3u);
  // Query i spreads evenly over i + 1 tokens.
  double entropy = 0;
  for (int64_t j = 0; j < 6; ++j) {
    double importance = 0;
    for (int64_t i = j; i < 6; ++i) importance += 1.0 / static_cast<double>(i + 1) / 6;
    entropy -= importance * std::log(importance);
  }
  for (const AttentionLayer& layer : layers) EXPECT_NEAR(layer.entropy, entropy, 1e-6);
}

// A model that has learned nothing, saved as weights of a run.
ProbeContext probe_context(const std::string& path, const Json& connection) {
  const Json model{{"name", "gpt"}, {"vocab_size", 8}, {"ctx", 8},     {"dim", 8},
                   {"depth", 2},    {"heads", 2},      {"hidden", 16}, {"connection", connection}};
  const Json data{{"name", "strings"}, {"length", 600}, {"word", 6}, {"seed", 1}};
  Json options = model;
  options.erase("name");
  const auto corpus = datasets().create({"strings", {{"length", 600}, {"word", 6}, {"seed", 1}}});
  options["vocab_size"] = corpus->text->tokenizer->vocabulary();
  const auto made = models().create({"gpt", options}, Random(3));
  save_weights(path, *made);
  options["name"] = "gpt";
  return {.random = Random(1),
          .weights = path,
          .configuration = {{"model", options}, {"data", data}, {"batch_size", 4}}};
}

double metric_of(const ProbeResult& result, const std::string& name) {
  for (const auto& [key, value] : result.metrics)
    if (key == name) return value;
  ADD_FAILURE() << "no metric " << name;
  return std::nan("");
}

TEST(LanguageProbes, MeasureCachesAndLoops) {
  const test::TemporaryFolder folder;
  const auto run = [&](const std::string& probe, const Json& connection) {
    const ProbeContext context = probe_context(folder.path("w.safetensors"), connection);
    return probes().create(probe)->run(context);
  };
  EXPECT_EQ(metric_of(run("decode-cache", "identity"), "cache_share"), 1);
  const ProbeResult shared = run("decode-cache", "svformer");
  EXPECT_EQ(metric_of(shared, "cache_share"), 0.75);  // (L + 1) / 2 L of L = 2
  EXPECT_EQ(shared.series.front().x.size(), 8u);
  EXPECT_GT(metric_of(shared, "tokens_per_second"), 0);
  const ProbeResult concentration = run("attention-concentration", "resformer");
  EXPECT_GT(metric_of(concentration, "entropy"), 0);
  EXPECT_EQ(concentration.series.size(), 4u);
  EXPECT_EQ(concentration.series.front().measured.size(), 2u);

  const ProbeResult sweep = run("loop-sweep", {{"name", "loop"}, {"loops", 2}});
  EXPECT_EQ(sweep.series.front().x.size(), 8u);
  const ProbeContext context = probe_context(folder.path("w.safetensors"), {{"name", "loop"}});
  const ProbedModel probed = open_probed(context, "test");
  double sum = 0, tokens = 0;
  for (const Batch& batch : probed.test_batches(0)) {
    const at::Tensor logits = probed.model->forward(batch.input).flatten(0, 1);
    sum += at::cross_entropy_loss(logits, batch.target.flatten(), {}, at::Reduction::Sum)
               .item<double>();
    tokens += static_cast<double>(batch.target.numel());
  }
  EXPECT_NEAR(metric_of(sweep, "loss_2"), sum / tokens, 1e-6);
  EXPECT_THROW(run("loop-sweep", "identity"), Error);
  EXPECT_THROW(probes().create("loop-sweep")->run({.random = Random(1)}), Error);
}

}  // namespace
}  // namespace residua
