#include "residua/analysis/stream_reads.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/models/tabular/mlp.h"

namespace residua {
namespace {

MlpOptions reads_mlp(const Component& connection) {
  return {.depth = 4, .width = 8, .connection = connection};
}

// By hand, from the blocks of an MLP.
TEST(StreamReads, AreThoseOfTheNetwork) {
  Mlp model(reads_mlp("identity"), Random(1));
  model.to(at::kDouble);
  torch::manual_seed(1);
  const at::Tensor x = torch::randn({5, 1, 8, 8}, at::kDouble);
  const at::Tensor target = at::tensor({0, 3, 1, 9, 4}, at::kLong);
  const StreamReads reads = measure_reads(model, x, target);
  ASSERT_EQ(reads.size.size(), 4U);
  ASSERT_EQ(reads.cosine.size(), 3U);
  std::vector<at::Tensor> streams = model.features(x);
  for (size_t i = 1; i < 3; ++i) {
    const at::Tensor before = streams[i - 1], now = streams[i];
    const at::Tensor cosine =
        (before * now).sum(1) / (before.square().sum(1).sqrt() * now.square().sum(1).sqrt());
    EXPECT_NEAR(reads.cosine[i], cosine.mean().item<double>(), 1e-9);
    EXPECT_NEAR(reads.size[i + 1], now.square().sum(1).sqrt().mean().item<double>(), 1e-9);
  }
  for (const double gradient : reads.gradient) EXPECT_GT(gradient, 0);
}

// Hyper-connections begin as the residual network: equal reads.
TEST(StreamReads, OfFreshHyperConnectionsAreThoseOfTheResidualNetwork) {
  Mlp plain(reads_mlp("identity"), Random(1)), hyper(reads_mlp("hyper"), Random(1));
  plain.to(at::kDouble);
  hyper.to(at::kDouble);
  const at::Tensor x = torch::randn({5, 1, 8, 8}, at::kDouble);
  const at::Tensor target = torch::zeros({5}, at::kLong);
  const StreamReads a = measure_reads(plain, x, target), b = measure_reads(hyper, x, target);
  for (size_t i = 0; i < a.size.size(); ++i) EXPECT_NEAR(a.size[i], b.size[i], 1e-9);
  for (size_t i = 0; i < a.cosine.size(); ++i) EXPECT_NEAR(a.cosine[i], b.cosine[i], 1e-9);
}

}  // namespace
}  // namespace residua
