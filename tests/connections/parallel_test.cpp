#include "residua/connections/parallel.h"

#include <gtest/gtest.h>

#include "residua/models/model.h"
#include "residua/models/stream_model.h"
#include "toy_stream.h"

namespace residua {
namespace {

Component parallel(int64_t k, const std::string& kinds = "same") {
  return {"parallel", {{"k", k}, {"kinds", kinds}}};
}

at::Tensor toy_input() {
  torch::manual_seed(3);
  return torch::randn({5, 6}, at::kDouble);
}

TEST(Parallel, OfTwoBlocksAttentionsComeFirst) {
  const auto f = tanh_branches(8, 6);
  ToyStream stream(parallel(2), f, 6, CarrierKind::gpt);
  at::Tensor x = toy_input();
  const at::Tensor received = stream(x);
  for (const int64_t block : {0, 2}) {
    const size_t a = static_cast<size_t>(2 * block);
    x = x + (f[a](x) + f[a + 2](x));
    x = x + (f[a + 1](x) + f[a + 3](x));
  }
  EXPECT_TRUE(received.equal(x));
}

TEST(Parallel, MixedPutsAnAttentionBesideItsMlp) {
  const auto f = tanh_branches(4, 6);
  ToyStream stream(parallel(2, "mixed"), f, 6, CarrierKind::gpt);
  at::Tensor x = toy_input();
  const at::Tensor received = stream(x);
  x = x + (f[0](x) + f[1](x));
  x = x + (f[2](x) + f[3](x));
  EXPECT_TRUE(received.equal(x));
}

TEST(Parallel, OneBranchAtATimeIsTheResidualNetwork) {
  const auto f = tanh_branches(6, 6);
  for (const char* kinds : {"same", "mixed"}) {
    ToyStream one(parallel(1, kinds), f, 6, CarrierKind::vit);
    ToyStream identity("identity", f, 6, CarrierKind::vit);
    EXPECT_TRUE(one(toy_input()).equal(identity(toy_input()))) << kinds;
  }
}

TEST(Parallel, TheLastGroupMayBeSmaller) {
  const auto f = tanh_branches(3, 6);
  at::Tensor x = toy_input();
  const at::Tensor received = ToyStream(parallel(2), f, 6)(x);
  x = x + (f[0](x) + f[1](x));
  EXPECT_TRUE(received.equal(x + f[2](x)));
}

TEST(Parallel, GroupsStayWithinTheirStage) {
  const auto model = models().create(
      {"resnet_cifar", {{"n", 3}, {"width", 4}, {"connection", {{"name", "parallel"}, {"k", 2}}}}},
      Random(1));
  const auto groups =
      parallel_groups(dynamic_cast<StreamModel&>(*model).carrier().sites, 2, ParallelKinds::same);
  std::vector<std::vector<int64_t>> branches;
  for (const auto& group : groups) {
    branches.emplace_back();
    for (const Site& site : group) branches.back().push_back(site.branch);
  }
  EXPECT_EQ(branches, (std::vector<std::vector<int64_t>>{{0, 1}, {2}, {3}, {4, 5}, {6}, {7, 8}}));
  const at::Tensor y = model->forward(torch::randn({2, 3, 16, 16}));
  EXPECT_TRUE(y.isfinite().all().item<bool>());
}

// Sequential and parallel agree to first order in the branches' size: the difference falls with its
// square.
TEST(Parallel, DiffersFromSequentialInSecondOrder) {
  const auto difference = [](double gamma) {
    std::vector<ToyBranch> scaled;
    for (const ToyBranch& f : tanh_branches(8, 6))
      scaled.push_back([f, gamma](const at::Tensor& x) { return gamma * f(x); });
    const at::Tensor x = toy_input();
    return (ToyStream(parallel(2), scaled, 6, CarrierKind::vit)(x) -
            ToyStream("identity", scaled, 6, CarrierKind::vit)(x))
        .norm()
        .item<double>();
  };
  const double slope = std::log(difference(1e-3) / difference(1e-4)) / std::log(10.0);
  EXPECT_NEAR(slope, 2, 0.01);
}

}  // namespace
}  // namespace residua
