#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/models/language/gpt.h"
#include "residua/models/vision/vit.h"
#include "tests/models/llama_cards.h"

namespace residua {
namespace {

constexpr int64_t kLayers = 3;

std::shared_ptr<Gpt> value_gpt(const Component& connection, int64_t kv_heads = 0,
                               at::ScalarType type = at::kDouble) {
  auto model = std::make_shared<Gpt>(GptOptions{.dim = 16,
                                                .depth = kLayers,
                                                .heads = 4,
                                                .kv_heads = kv_heads,
                                                .ctx = 12,
                                                .vocab_size = 11,
                                                .connection = connection},
                                     Random(4));
  for (at::Tensor& p : model->parameters()) p.detach().mul_(5);  // away from small weights
  model->to(type);
  return model;
}

at::Tensor some_ids() {
  torch::manual_seed(5);
  return torch::randint(0, 11, {2, 12}, at::kLong);
}

// Copies what both have under one name and shape.
void copy_common(const torch::nn::Module& from, torch::nn::Module& to) {
  const auto source = from.named_parameters();
  for (auto& p : to.named_parameters())
    if (const auto* found = source.find(p.key()); found && found->sizes() == p.value().sizes())
      p.value().detach().copy_(*found);
}

at::Tensor logits_like(const Gpt& weights, const Component& connection) {
  const auto model = value_gpt(connection);
  copy_common(weights, *model);
  return model->forward(some_ids());
}

Component res(const std::string& variant, double l1, double l2) {
  return {"resformer", {{"variant", variant}, {"lambda1", l1}, {"lambda2", l2}}};
}

TEST(ResFormer, WithoutFirstValuesIsTheBaselineToTheBit) {
  const auto plain = value_gpt("identity");
  const at::Tensor expected = plain->forward(some_ids());
  EXPECT_TRUE(logits_like(*plain, res("constant", 0, 1)).equal(expected));
  EXPECT_TRUE(logits_like(*plain, res("sparse", 0, 1)).equal(expected));
  EXPECT_FALSE(logits_like(*plain, "resformer").allclose(expected, 1e-3));
}

TEST(ResFormer, WithFirstValuesAloneIsSvFormer) {
  const auto plain = value_gpt("identity");
  const auto shared = value_gpt("svformer");
  copy_common(*plain, *shared);
  const auto from = plain->named_parameters();
  auto to = shared->named_parameters();
  for (int64_t i = 1; i < kLayers; ++i)
    for (const char* kind : {"weight", "bias"}) {
      const std::string name = "transformer.h." + std::to_string(i) + ".attn.c_attn." + kind;
      ASSERT_EQ(to[name].size(0), 32);  // no values
      to[name].detach().copy_(from[name].narrow(0, 0, 32));
    }
  EXPECT_TRUE(shared->forward(some_ids())
                  .allclose(logits_like(*plain, res("constant", 1, 0)), 1e-12, 1e-12));
}

TEST(ResFormer, VariantsBeginAlike) {
  const auto plain = value_gpt("identity");
  const at::Tensor expected = logits_like(*plain, "resformer");
  for (const char* variant : {"learnable", "learnable_plus"}) {
    const Component connection("resformer", {{"variant", variant}});
    const auto fresh = std::make_shared<Gpt>(GptOptions{.dim = 16,
                                                        .depth = kLayers,
                                                        .heads = 4,
                                                        .ctx = 12,
                                                        .vocab_size = 11,
                                                        .connection = connection},
                                             Random(4));
    fresh->to(at::kDouble);
    const auto source = plain->named_parameters();
    for (auto& p : fresh->named_parameters())
      if (const auto* found = source.find(p.key())) p.value().detach().copy_(*found);
    // 1e-6: the learned numbers begin as float32.
    EXPECT_TRUE(fresh->forward(some_ids()).allclose(expected, 1e-6, 1e-6)) << variant;
  }
  EXPECT_TRUE(logits_like(*plain, res("constant", 0.5, 0.5)).equal(expected));
}

TEST(ResFormer, DenseWithOneCoefficientEqualsTheFirstValues) {
  const auto plain = value_gpt("identity");
  const auto dense = value_gpt({"resformer", {{"variant", "dense"}}});
  copy_common(*plain, *dense);
  auto p = dense->named_parameters();
  for (int64_t block = 1; block < kLayers; ++block) {
    at::Tensor lambda = p["connection." + std::to_string(block) + ".lambda"];
    ASSERT_EQ(lambda.size(0), block + 1);
    lambda.detach().zero_();
    lambda.detach()[0] = 0.3;
    lambda.detach()[block] = 0.7;
  }
  EXPECT_TRUE(dense->forward(some_ids())
                  .allclose(logits_like(*plain, res("constant", 0.3, 0.7)), 1e-12, 1e-12));
}

TEST(ResFormer, SparseChangesTheChosenLayersAlone) {
  const auto plain = value_gpt("identity");
  const auto values_of = [&](const Component& connection) {
    const auto model = value_gpt(connection);
    copy_common(*plain, *model);
    std::vector<at::Tensor> values;
    model->visit_attention(
        [&](const Site&, const AttentionView& view) { values.push_back(view.v.clone()); });
    model->forward(some_ids());
    return values;
  };
  const auto sparse =
      values_of({"resformer", {{"variant", "sparse"}, {"layers", {3}}, {"lambda1", 2.0}}});
  const auto base = values_of("identity");
  EXPECT_TRUE(sparse[0].equal(base[0]));
  EXPECT_TRUE(sparse[1].equal(base[1]));
  EXPECT_TRUE(sparse[2].allclose(2 * base[0] + 0.5 * base[2], 1e-12, 1e-12));
}

TEST(ResFormer, RefusesWhatDoesNotBelongTogether) {
  EXPECT_THROW(value_gpt({"resformer", {{"lambda1", 1.0}}}), Error);
  EXPECT_THROW(value_gpt({"resformer", {{"variant", "dense"}, {"layers", {2}}}}), Error);
  EXPECT_THROW(value_gpt({"resformer", {{"variant", "sparse"}, {"layers", {1}}}}), Error);
  for (const char* name : {"resformer", "svformer", "neutreno", "denseformer"})
    for (const char* carrier : {"mlp", "resnet_cifar"}) {
      try {
        models().create({carrier, {{"connection", name}}}, Random(1));
        ADD_FAILURE() << name << " rides " << carrier;
      } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::unsupported);
      }
    }
}

// W_V of the first layer acts in every layer: its gradient is the sum of those of separate copies.
TEST(ResFormer, GradientOfTheFirstValuesIsTheSumOverTheLayers) {
  const auto model = value_gpt("resformer");
  const at::Tensor ids = some_ids();
  model->forward(ids).square().sum().backward();
  const at::Tensor whole =
      model->named_parameters()["transformer.h.0.attn.c_attn.weight"].grad().narrow(0, 32, 16);

  const auto p = model->named_parameters();
  std::vector<at::Tensor> copies;
  at::Tensor x = model->embed(ids), first_input;
  for (int64_t i = 0; i < kLayers; ++i) {
    const auto& block = *model->blocks()[static_cast<size_t>(i)];
    const at::Tensor h = block.attention->norm->forward(x);
    if (i == 0) first_input = h;
    auto [q, k, v] = block.attention->attention->project(h);
    copies.push_back(p["transformer.h.0.attn.c_attn.weight"]
                         .detach()
                         .narrow(0, 32, 16)
                         .clone()
                         .requires_grad_());
    const at::Tensor bias = p["transformer.h.0.attn.c_attn.bias"].narrow(0, 32, 16);
    const at::Tensor v1 =
        at::linear(first_input, copies.back(), bias).view({2, 12, 4, 4}).transpose(1, 2);
    v = i == 0 ? v1 : 0.5 * v1 + 0.5 * v;
    x = x + block.attention->attention->output(block.attention->attention->mix(q, k, v, true));
    x = x + block.mlp->forward(x);
  }
  model->zero_grad();
  model->unembed(x).square().sum().backward();
  at::Tensor sum = at::zeros_like(whole);
  for (const at::Tensor& copy : copies) {
    EXPECT_GT(copy.grad().abs().max().item<double>(), 1e-6);
    sum = sum + copy.grad();
  }
  EXPECT_TRUE(sum.allclose(whole, 1e-9, 1e-12));
}

// L layers of keys and values; the values are kept once, and keys once a group.
TEST(SvFormer, KeepsTheBytesOfItsFormula) {
  const at::NoGradGuard no_grad;
  const at::Tensor ids = some_ids();
  const auto bytes = [&](const Component& connection, int64_t kv_heads) {
    const auto model = value_gpt(connection, kv_heads, at::kFloat);
    model->eval();
    DecodeCache cache;
    model->decode(ids.narrow(1, 0, 5), cache);
    model->decode(ids.narrow(1, 5, 1), cache);
    return cache.bytes();
  };
  for (const int64_t kv_heads : {4, 2}) {
    const int64_t one = 2 * 6 * kv_heads * 4 * 4;  // sequences, tokens, heads, channels, bytes
    EXPECT_EQ(bytes("identity", kv_heads), 2 * kLayers * one);
    EXPECT_EQ(bytes("svformer", kv_heads), (kLayers + 1) * one);
    EXPECT_EQ(bytes({"svformer", {{"share_keys", 2}}}, kv_heads), (2 + 1) * one);
    EXPECT_EQ(bytes("resformer", kv_heads), 2 * kLayers * one);
  }
}

TEST(ValueResidual, DecodesAsItComputesWholeSequences) {
  const std::vector<Component> connections{"resformer",
                                           {"resformer", {{"variant", "dense"}}},
                                           {"resformer", {{"variant", "learnable_plus"}}},
                                           "svformer",
                                           {"svformer", {{"share_keys", 2}}},
                                           "neutreno",
                                           "denseformer"};
  const at::NoGradGuard no_grad;
  const at::Tensor ids = some_ids();
  for (const Component& connection : connections)
    for (const int64_t kv_heads : {4, 2}) {
      const auto model = value_gpt(connection, kv_heads, at::kFloat);
      model->eval();
      const at::Tensor expected = model->forward(ids);
      DecodeCache cache;
      std::vector<at::Tensor> logits{model->decode(ids.narrow(1, 0, 5), cache)};
      for (int64_t i = 5; i < 12; ++i) logits.push_back(model->decode(ids.narrow(1, i, 1), cache));
      const double error = (at::cat(logits, 1) - expected).abs().max().item<double>();
      EXPECT_LE(error, 1e-5 * expected.abs().max().item<double>()) << connection.name << kv_heads;
    }
}

TEST(NeuTreno, AddsTheDifferenceOfValues) {
  const auto plain = value_gpt("identity");
  EXPECT_TRUE(logits_like(*plain, {"neutreno", {{"tau", 0.0}}}).equal(plain->forward(some_ids())));
  const auto model = value_gpt({"neutreno", {{"tau", 0.7}}});
  std::vector<at::Tensor> first;
  int64_t seen = 0;
  model->visit_attention([&](const Site& site, const AttentionView& view) {
    if (site.block == 0) first.push_back(view.v);
    const at::Tensor mixed = at::matmul(attention_weights(view.q, view.k, true), view.v);
    EXPECT_TRUE(view.u.allclose(mixed + 0.7 * (first.front() - view.v), 1e-12, 1e-12));
    ++seen;
  });
  model->forward(some_ids());
  EXPECT_EQ(seen, kLayers);
}

TEST(DenseFormer, BeginsAsTheBaselineAndAveragesByItsWeights) {
  const auto plain = value_gpt("identity");
  const auto fresh = std::make_shared<Gpt>(GptOptions{.dim = 16,
                                                      .depth = 2,
                                                      .heads = 4,
                                                      .ctx = 12,
                                                      .vocab_size = 11,
                                                      .connection = "denseformer"},
                                           Random(4));
  EXPECT_EQ(fresh->named_parameters()["connection.1.alpha"].sum().item<float>(), 1);
  const auto p = fresh->named_parameters();
  p["connection.0.alpha"].detach().copy_(torch::tensor({0.25, 0.5}));
  p["connection.1.alpha"].detach().copy_(torch::tensor({-1.0, 2.0, 0.75}));
  const at::Tensor x0 = fresh->embed(some_ids());
  const auto run_block = [&](size_t i, const at::Tensor& x) {
    const auto& block = *fresh->blocks()[i];
    const auto [q, k, v] = block.attention->attention->project(block.attention->norm->forward(x));
    const at::Tensor y =
        x + block.attention->attention->output(block.attention->attention->mix(q, k, v, true));
    return y + block.mlp->forward(y);
  };
  const at::Tensor x1 = run_block(0, x0), y1 = 0.25 * x0 + 0.5 * x1;
  const at::Tensor x2 = run_block(1, y1);
  EXPECT_TRUE(fresh->run_embeddings(x0).allclose(-x0 + 2 * x1 + 0.75 * x2, 1e-5, 1e-5));
}

TEST(ValueResidual, PassesTheReferencesCards) {
  for (const auto& [card, connection] : {std::pair{"value-residual-resformer", "resformer"},
                                         {"value-residual-svformer", "svformer"},
                                         {"value-residual-neutreno", "neutreno"}}) {
    const CardResult result = check_llama_card(card, connection);
    EXPECT_TRUE(result.passed()) << card << ": " << result.text();
    EXPECT_GT(result.samples, 0);
  }
  EXPECT_FALSE(check_llama_card("value-residual-resformer", "identity").passed());
}

TEST(ValueResidual, RidesVisionTransformers) {
  torch::manual_seed(1);
  const at::Tensor x = torch::randn({2, 3, 8, 8});
  for (const char* name : {"resformer", "svformer", "neutreno", "denseformer"}) {
    const auto model = std::make_shared<Vit>(
        VitOptions{.image_size = 8, .dim = 12, .depth = 3, .heads = 3, .connection = name},
        Random(1));
    model->forward(x).square().sum().backward();
    for (const auto& p : model->named_parameters())
      EXPECT_TRUE(p.value().grad().defined() && p.value().grad().isfinite().all().item<bool>())
          << name << " " << p.key();
  }
}

}  // namespace
}  // namespace residua
