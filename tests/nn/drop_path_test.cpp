#include "residua/nn/drop_path.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/core/error.h"

namespace residua {
namespace {

TEST(DropPath, KeepsOrDropsWholeSamples) {
  torch::manual_seed(1);
  const at::Tensor y = torch::randn({4000, 3, 2});
  const at::Tensor dropped = drop_path(y, 0.25, true);
  int64_t kept = 0;
  for (int64_t i = 0; i < y.size(0); ++i) {
    const bool zero = dropped[i].abs().max().item<float>() == 0;
    if (!zero) {
      ASSERT_TRUE(torch::allclose(dropped[i], y[i] / 0.75));
    }
    kept += zero ? 0 : 1;
  }
  // Five standard deviations of 4000 draws.
  EXPECT_NEAR(static_cast<double>(kept) / 4000, 0.75, 5 * std::sqrt(0.75 * 0.25 / 4000));
}

TEST(DropPath, DoesNothingInEvaluation) {
  DropPath drop(0.5);
  const at::Tensor y = torch::randn({5, 2});
  drop.eval();
  EXPECT_TRUE(drop.forward(y).is_same(y));
  EXPECT_TRUE(drop_path(y, 0, true).is_same(y));
  EXPECT_THROW(DropPath(1), Error);
}

TEST(DropPath, RatesRiseLinearly) {
  EXPECT_EQ(drop_path_rates(0.2, 1), (std::vector<double>{0}));
  const auto rates = drop_path_rates(0.25, 6);
  for (size_t i = 0; i < 6; ++i) EXPECT_DOUBLE_EQ(rates[i], 0.05 * static_cast<double>(i));
}

}  // namespace
}  // namespace residua
