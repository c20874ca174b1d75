#include "residua/models/vision/nfnet.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/nn/init.h"

namespace residua {
namespace {

int64_t nf_parameters(const std::string& name) {
  const SkipInitialization only_shapes;
  int64_t count = 0;
  for (const at::Tensor& p : models().create(name, Random(0))->parameters()) count += p.numel();
  return count;
}

// Counted in timm 1.0.
TEST(NfNet, HasTimmsParameterCounts) {
  const std::pair<const char*, int64_t> counts[] = {
      {"nf_resnet26", 15995176},  {"nf_resnet50", 25557032},  {"nf_resnet101", 44549160},
      {"nf_regnet_b0", 8764288},  {"nf_regnet_b1", 10223984}, {"nf_regnet_b2", 14314608},
      {"nf_regnet_b3", 18593832}, {"nf_regnet_b4", 30210816}, {"nf_regnet_b5", 49741728},
      {"dm_nfnet_f0", 71489284},  {"dm_nfnet_f1", 132634256}, {"dm_nfnet_f2", 193779228},
      {"dm_nfnet_f3", 254924200}, {"dm_nfnet_f4", 316069172}, {"dm_nfnet_f5", 377214144},
      {"dm_nfnet_f6", 438359116}};
  for (const auto& [name, count] : counts) EXPECT_EQ(nf_parameters(name), count) << name;
}

Component tiny_f0() {
  return {"dm_nfnet_f0", {{"width_factor", 1.0 / 16}, {"group_size", 8}, {"num_classes", 10}}};
}

TEST(NfNet, WithSkipInitBeginsAsTheChainOfShortcuts) {
  const at::NoGradGuard no_grad;
  const auto model = std::dynamic_pointer_cast<NfNet>(models().create(tiny_f0(), Random(1)));
  model->eval();
  const at::Tensor x = torch::randn({2, 3, 32, 32}), before = model->forward(x);
  for (const auto& block : model->blocks())
    for (at::Tensor weight : block->branch_weights()) weight.normal_();
  EXPECT_TRUE(model->forward(x).equal(before));
  for (auto& p : model->named_parameters())
    if (p.key().ends_with("skipinit_gain")) p.value().fill_(1);
  EXPECT_FALSE(model->forward(x).equal(before));
}

TEST(NfNet, EveryImageIsItsOwn) {
  const at::NoGradGuard no_grad;
  const auto model = models().create(tiny_f0(), Random(1));
  for (auto& p : model->named_parameters())
    if (p.key().ends_with("skipinit_gain")) p.value().fill_(1);
  model->eval();
  at::Tensor x = torch::randn({3, 3, 32, 32});
  const at::Tensor before = model->forward(x);
  x[1].mul_(-2);
  const at::Tensor after = model->forward(x);
  EXPECT_TRUE(after[0].equal(before[0]) && after[2].equal(before[2]));
  EXPECT_FALSE(after[1].equal(before[1]));
}

TEST(NfNet, DropsPathsAndFeaturesInTraining) {
  const at::NoGradGuard no_grad;
  Json options = tiny_f0().options_or_empty();
  options["drop_path"] = 0.9;
  options["dropout"] = 0;
  const auto model = models().create({"dm_nfnet_f0", options}, Random(1));
  for (auto& p : model->named_parameters())
    if (p.key().ends_with("skipinit_gain")) p.value().fill_(1);
  const at::Tensor x = torch::randn({2, 3, 32, 32});
  torch::manual_seed(1);
  const at::Tensor first = model->forward(x);
  EXPECT_FALSE(first.equal(model->forward(x)));
  model->eval();
  EXPECT_TRUE(model->forward(x).equal(model->forward(x)));
}

TEST(NfNet, NamesWeightsOnlyWhereTheyFit) {
  const SkipInitialization only_shapes;
  const auto weights = [](const Component& c) {
    return models().create(c, Random(0))->info().weights;
  };
  EXPECT_EQ(weights("nf_resnet50").size(), 1u);
  EXPECT_EQ(weights("nf_resnet26").size(), 0u);
  EXPECT_EQ(weights({"nf_resnet50", {{"num_classes", 5}, {"drop_path", 0.1}}}).size(), 1u);
  EXPECT_EQ(weights({"nf_resnet50", {{"alpha", 0.3}}}).size(), 0u);
}

TEST(NfNet, RefusesWhatDoesNotFit) {
  EXPECT_THROW(models().create({"nf_resnet26", {{"channels", {64}}}}, Random(0)), Error);
  EXPECT_THROW(models().create({"dm_nfnet_f0", {{"width_factor", 0.1}}}, Random(0)), Error);
}

}  // namespace
}  // namespace residua
