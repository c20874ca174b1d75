#include "residua/models/vision/vit.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/core/error.h"

namespace residua {
namespace {

std::shared_ptr<Vit> tiny_vit(VitOptions o = {}) {
  o.image_size = 8;
  o.dim = 12;
  o.depth = 2;
  o.heads = 3;
  auto model = std::make_shared<Vit>(o, Random(1));
  model->to(at::kDouble);
  model->eval();
  return model;
}

at::Tensor tiny_images() {
  torch::manual_seed(1);
  return torch::randn({2, 3, 8, 8}, at::kDouble);
}

// The block of timm's VisionTransformer, written out.
at::Tensor timm_block(const TransformerBlock& block, at::Tensor x) {
  const auto& attention = *block.attention;
  const auto [q, k, v] = attention.attention->project(attention.norm->forward(x));
  at::Tensor y = attention.attention->output(at::matmul(
      at::softmax(at::matmul(q, k.transpose(2, 3)) / std::sqrt(static_cast<double>(q.size(3))), -1),
      v));
  x = x + (attention.scale ? y * attention.scale->gamma : y);
  y = block.mlp->mlp->second->forward(
      at::gelu(block.mlp->mlp->first->forward(block.mlp->norm->forward(x))));
  return x + (block.mlp->scale ? y * block.mlp->scale->gamma : y);
}

TEST(Vit, EqualsTheBlocksWrittenOut) {
  for (const double layer_scale : {0.0, 0.3}) {
    const auto model = tiny_vit({.layer_scale = layer_scale});
    const at::Tensor start = model->embed(tiny_images());
    at::Tensor x = start;
    for (const auto& block : model->blocks()) x = timm_block(*block, x);
    EXPECT_TRUE(model->run_blocks(start).allclose(x, 1e-12, 1e-12));
  }
}

TEST(Vit, CutsPatchesInRowOrder) {
  const auto model = tiny_vit();
  const at::Tensor x = tiny_images(), tokens = model->embed(x);
  EXPECT_EQ(tokens.sizes().vec(), (std::vector<int64_t>{2, 5, 12}));
  const auto p = model->named_parameters();
  const at::Tensor weight = p["patch_embed.proj.weight"].flatten(1);
  for (int64_t row = 0; row < 2; ++row)
    for (int64_t column = 0; column < 2; ++column) {
      const at::Tensor patch = x.narrow(2, 4 * row, 4).narrow(3, 4 * column, 4).flatten(1);
      const int64_t place = 1 + 2 * row + column;
      const at::Tensor expected =
          at::linear(patch, weight, p["patch_embed.proj.bias"]) + p["pos_embed"][0][place];
      EXPECT_TRUE(tokens.select(1, place).allclose(expected, 1e-10, 1e-10));
    }
}

TEST(Vit, PoolsTheTokenOrTheMean) {
  const at::Tensor tokens = torch::randn({2, 5, 12}, at::kDouble);
  const auto by_token = tiny_vit(), by_mean = tiny_vit({.pool = VitPool::avg});
  const auto logits = [](Vit& model, const at::Tensor& pooled, const std::string& norm) {
    const auto p = model.named_parameters();
    return at::linear(at::layer_norm(pooled, {12}, p[norm + ".weight"], p[norm + ".bias"], 1e-6),
                      p["head.weight"], p["head.bias"]);
  };
  EXPECT_TRUE(by_token->head(tokens).allclose(logits(*by_token, tokens.select(1, 0), "norm")));
  EXPECT_TRUE(
      by_mean->head(tokens).allclose(logits(*by_mean, tokens.narrow(1, 1, 4).mean(1), "fc_norm")));
}

TEST(Vit, BeginsWithTimmsWeights) {
  const Vit model({.dim = 64, .depth = 1}, Random(3));
  const auto p = model.named_parameters();
  EXPECT_NEAR(p["blocks.0.mlp.fc1.weight"].std().item<double>(), 0.02, 5e-4);
  EXPECT_NEAR(p["blocks.0.attn.proj.weight"].std().item<double>(), 0.02, 1e-3);
  EXPECT_NEAR(p["pos_embed"].std().item<double>(), 0.02, 1e-3);
  EXPECT_EQ(p["blocks.0.attn.qkv.bias"].abs().max().item<double>(), 0);
  EXPECT_LT(p["cls_token"].abs().max().item<double>(), 1e-5);
}

TEST(Vit, DropsOnlyInTraining) {
  const auto model = tiny_vit({.drop = 0.5, .attn_drop = 0.5});
  const at::Tensor x = tiny_images();
  EXPECT_TRUE(model->forward(x).equal(model->forward(x)));
  model->train();
  EXPECT_FALSE(model->forward(x).equal(model->forward(x)));
}

TEST(Vit, RefusesSizesThatDoNotFit) {
  EXPECT_THROW(Vit({.image_size = 10, .patch = 4}, Random(1)), Error);
  EXPECT_THROW(Vit({.dim = 10, .heads = 4}, Random(1)), Error);
}

}  // namespace
}  // namespace residua
