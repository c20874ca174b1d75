// "Three things everyone should know about Vision Transformers".
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/models/vision/vit.h"
#include "residua/optim/parameter_groups.h"
#include "residua/optim/trainable.h"

namespace residua {
namespace {

VitOptions tiny_things(int64_t depth, int64_t branches, double layer_scale) {
  VitOptions o{.image_size = 16,
               .patch = 8,
               .dim = 12,
               .depth = depth,
               .branches = branches,
               .heads = 3,
               .mlp_ratio = 2,
               .layer_scale = layer_scale};
  if (branches > 1) o.connection = {"parallel", {{"k", branches}}};
  return o;
}

at::Tensor thing_tokens() {
  torch::manual_seed(2);
  return torch::randn({2, 5, 12}, at::kDouble);
}

std::map<std::string, at::Tensor> things_of(const torch::nn::Module& module) {
  std::map<std::string, at::Tensor> map;
  for (const auto& [name, tensor] : state_dict(module)) map[name] = tensor;
  return map;
}

// Weights of order 1 at both networks, the same under each other's names.
void share_weights(Vit& sequential, Vit& parallel, int64_t branches) {
  sequential.to(at::kDouble);
  parallel.to(at::kDouble);
  torch::manual_seed(6);
  const at::NoGradGuard no_grad;
  for (const auto& p : sequential.named_parameters())
    if (p.key().find("gamma") == std::string::npos && p.value().dim() > 1)
      p.value().normal_(0, 0.5);
  const auto to = things_of(parallel);
  const NamedTensors renamed = seq_to_parallel(state_dict(sequential), branches);
  ASSERT_EQ(renamed.size(), to.size());
  for (const auto& [name, tensor] : renamed) {
    ASSERT_TRUE(to.contains(name)) << name;
    to.at(name).copy_(tensor);
  }
}

double things_difference(double gamma) {
  Vit sequential(tiny_things(4, 1, gamma), Random(1)),
      parallel(tiny_things(2, 2, gamma), Random(2));
  share_weights(sequential, parallel, 2);
  const at::NoGradGuard no_grad;
  return (sequential.run_blocks(thing_tokens()) - parallel.run_blocks(thing_tokens()))
      .norm()
      .item<double>();
}

TEST(ThreeThings, ParallelDiffersBySecondOrderOfLayerScale) {
  const double slope = std::log(things_difference(1e-2) / things_difference(1e-3)) / std::log(10.0);
  EXPECT_NEAR(slope, 2, 0.1);
}

TEST(ThreeThings, ParallelIsItsEquation) {
  Vit parallel(tiny_things(2, 2, 0.5), Random(2)), sequential(tiny_things(4, 1, 0.5), Random(1));
  share_weights(sequential, parallel, 2);
  const at::NoGradGuard no_grad;
  at::Tensor x = thing_tokens();
  const at::Tensor received = parallel.run_blocks(x);
  const auto attend = [&](int64_t i, const at::Tensor& in) {
    const AttentionBranch& b = *sequential.blocks()[static_cast<size_t>(i)]->attention;
    const auto [q, k, v] = b.attention->project(b.norm->forward(in));
    return b.scale->forward(b.attention->output(b.attention->mix(q, k, v, false)));
  };
  for (const int64_t i : {0, 2}) {
    x = x + attend(i, x) + attend(i + 1, x);
    const auto mlp = [&](int64_t j) {
      return sequential.blocks()[static_cast<size_t>(j)]->mlp->forward(x);
    };
    x = x + mlp(i) + mlp(i + 1);
  }
  EXPECT_LT((received - x).abs().max().item<double>(), 1e-12);
}

TEST(ThreeThings, OneBranchAtATimeIsTheSequentialNetwork) {
  VitOptions o = tiny_things(3, 1, 0);
  const Vit plain(o, Random(1));
  o.connection = {"parallel", {{"k", 1}}};
  Vit one(o, Random(1));
  const at::Tensor x = torch::randn({2, 3, 16, 16});
  EXPECT_TRUE(const_cast<Vit&>(plain).forward(x).equal(one.forward(x)));
}

TEST(ThreeThings, ConverterNeedsWholeGroups) {
  const Vit three(tiny_things(3, 1, 0), Random(1));
  EXPECT_THROW(seq_to_parallel(state_dict(three), 2), Error);
}

TEST(ThreeThings, DropPathLeavesOutBranchesOfSamples) {
  VitOptions o = tiny_things(1, 1, 0);
  o.connection = {"parallel", {{"k", 1}, {"drop_path", 0.5}}};
  Vit model(o, Random(1));
  model.to(at::kDouble);
  const at::Tensor x = thing_tokens().slice(0, 0, 1).repeat({64, 1, 1});
  const at::NoGradGuard no_grad;
  model.eval();
  const at::Tensor whole = model.run_blocks(x);
  model.train();
  torch::manual_seed(3);
  const at::Tensor dropped = model.run_blocks(x);
  int64_t untouched = 0;
  for (int64_t i = 0; i < 64; ++i) untouched += dropped[i].equal(x[i]) ? 1 : 0;
  EXPECT_GT(untouched, 6);  // a quarter is expected: neither branch
  EXPECT_LT(untouched, 28);
  EXPECT_GT((dropped - whole).abs().max().item<double>(), 1e-6);
}

TEST(HmlpStem, PatchesSeeOnlyThemselves) {
  HmlpStem stem(3, 16, 8, Random(1));
  stem.eval();
  const at::NoGradGuard no_grad;
  const at::Tensor x = torch::randn({1, 3, 24, 24});
  at::Tensor other = x.clone();
  other.slice(2, 8, 16).slice(3, 16, 24).add_(1);  // patch (1, 2)
  const at::Tensor change = (stem.forward(other) - stem.forward(x)).abs().sum(1)[0];
  EXPECT_GT(change[1][2].item<double>(), 0);
  change[1][2] = 0;
  EXPECT_EQ(change.max().item<double>(), 0);
  // Masking before the stem equals masking behind it, for what is kept.
  const at::Tensor keep = torch::rand({1, 1, 3, 3}) > 0.5;
  const at::Tensor pixels = keep.repeat_interleave(8, 2).repeat_interleave(8, 3);
  const at::Tensor masked = stem.forward(x * pixels) * keep, expected = stem.forward(x) * keep;
  EXPECT_TRUE(masked.equal(expected));
}

TEST(HmlpStem, HasTheNamesOfTheReference) {
  VitOptions o = tiny_things(1, 1, 0);
  o.stem = VitStem::hmlp;
  const auto names = things_of(Vit(o, Random(1)));
  EXPECT_EQ(names.at("patch_embed.proj.0.weight").sizes(), (std::vector<int64_t>{3, 3, 2, 2}));
  EXPECT_EQ(names.at("patch_embed.proj.3.weight").sizes(), (std::vector<int64_t>{3, 3, 2, 2}));
  EXPECT_EQ(names.at("patch_embed.proj.6.weight").sizes(), (std::vector<int64_t>{12, 3, 2, 2}));
  EXPECT_TRUE(names.contains("patch_embed.proj.7.running_var"));
  o.patch = 2;
  EXPECT_THROW(Vit(o, Random(1)), Error);
}

TEST(AttentionOnly, LeavesTheAttentionsAndTheHead) {
  const int64_t d = 12, depth = 3;
  Vit model(tiny_things(depth, 1, 1e-2), Random(1));
  train_only(model, {"blocks.*.attn.*", "head.*"});
  model.forward(torch::randn({2, 3, 16, 16})).square().sum().backward();
  int64_t count = 0;
  for (const auto& p : model.named_parameters()) {
    const bool listed = p.key().find(".attn.") != std::string::npos || p.key().starts_with("head.");
    EXPECT_EQ(p.value().grad().defined(), listed) << p.key();
    if (listed) count += p.value().numel();
  }
  EXPECT_EQ(count, depth * (4 * d * d + 4 * d) + 10 * d + 10);
  int64_t grouped = 0;
  for (const ParameterGroup& group : parameter_groups(model))
    for (const at::Tensor& p : group.parameters) grouped += p.numel();
  EXPECT_EQ(grouped, count);
  EXPECT_THROW(train_only(model, {"blocks.*.attention.*"}), Error);
}

TEST(Positions, OfTheSameSizeStayAndOfAnotherAreInterpolated) {
  torch::manual_seed(1);
  const at::Tensor table = torch::randn({1, 1 + 9, 4});
  EXPECT_LT((resize_positions(table, 3) - table).abs().max().item<double>(), 1e-6);
  const at::Tensor larger = resize_positions(table, 5);
  EXPECT_EQ(larger.sizes(), (std::vector<int64_t>{1, 26, 4}));
  EXPECT_TRUE(larger.select(1, 0).equal(table.select(1, 0)));
  // The middle of an odd grid stays where it is.
  EXPECT_LT((larger.select(1, 1 + 12) - table.select(1, 1 + 4)).abs().max().item<double>(), 1e-5);
}

TEST(Positions, AreAdoptedFromAnotherImageSize) {
  VitOptions small = tiny_things(1, 1, 0), large = small;
  large.image_size = 24;
  const Vit from(small, Random(1));
  Vit to(large, Random(2));
  const at::Tensor table = from.named_parameters()["pos_embed"];
  EXPECT_TRUE(to.adopt("pos_embed", table.detach()));
  EXPECT_TRUE(to.named_parameters()["pos_embed"].equal(resize_positions(table, 3)));
  EXPECT_FALSE(to.adopt("cls_token", table));
}

}  // namespace
}  // namespace residua
