#include "residua/nn/orthonormal.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace residua {
namespace {

double distance_from_identity(const at::Tensor& group) {
  const at::Tensor gram = group.mm(group.t());
  return (gram - torch::eye(gram.size(0), gram.options())).abs().max().item<double>();
}

TEST(Orthonormal, FiltersAreOrthonormal) {
  const at::Tensor w = torch::empty({16, 4, 3, 3});
  fill_orthonormal(w, 1, Random(1));
  ASSERT_EQ(filter_groups(w).size(), 1u);
  EXPECT_LT(distance_from_identity(filter_groups(w).front()), 1e-6);
  EXPECT_LT(orthonormality_error(w).item<double>(), 1e-10);
  fill_orthonormal(w, 2, Random(1));
  EXPECT_NEAR(w[0].norm().item<double>(), 2, 1e-5);
}

TEST(Orthonormal, TooManyFiltersFormGroups) {
  const at::Tensor w = torch::empty({11, 4, 1, 1}, at::kDouble);
  fill_orthonormal(w, 1, Random(2));
  const auto groups = filter_groups(w);
  ASSERT_EQ(groups.size(), 3u);
  int64_t filters = 0;
  for (const at::Tensor& group : groups) {
    EXPECT_LE(group.size(0), 4);
    EXPECT_LT(distance_from_identity(group), 1e-12);
    filters += group.size(0);
  }
  EXPECT_EQ(filters, 11);
}

// Of lambda / 2 * |W^T W - I|^2 with columns for filters: 2 lambda W (W^T W - I).
TEST(Orthonormal, GradientIsItsFormula) {
  torch::manual_seed(3);
  const double lambda = 0.3;
  const at::Tensor w = torch::randn({5, 8}, at::kDouble).requires_grad_();
  (orthonormality_error(w) * lambda / 2).backward();
  const at::NoGradGuard no_grad;
  const at::Tensor columns = w.t(), eye = torch::eye(5, at::kDouble);
  const at::Tensor expected = 2 * lambda * columns.mm(columns.t().mm(columns) - eye);
  EXPECT_TRUE(torch::allclose(w.grad().t(), expected, 1e-10, 1e-12));
  const double step = 1e-6;
  at::Tensor flat = w.detach().view({-1});
  for (int64_t i = 0; i < flat.numel(); i += 7) {
    const double start = flat[i].item<double>();
    flat[i] = start + step;
    const double above = orthonormality_error(w).item<double>() * lambda / 2;
    flat[i] = start - step;
    const double below = orthonormality_error(w).item<double>() * lambda / 2;
    flat[i] = start;
    EXPECT_NEAR((above - below) / (2 * step), w.grad().view({-1})[i].item<double>(), 1e-6);
  }
}

TEST(Orthonormal, NearestIsOrthonormalAndNoOtherIsNearer) {
  torch::manual_seed(4);
  const at::Tensor w = torch::randn({6, 2, 2, 2}, at::kDouble);
  const at::Tensor nearest = nearest_orthonormal(w);
  EXPECT_LT(distance_from_identity(nearest.flatten(1)), 1e-12);
  EXPECT_TRUE(torch::allclose(nearest_orthonormal(3 * nearest), nearest, 1e-10, 1e-12));
  const double least = (w - nearest).norm().item<double>();
  const at::Tensor other = torch::empty_like(w);
  for (uint64_t i = 0; i < 50; ++i) {
    fill_orthonormal(other, 1, Random(i));
    EXPECT_GT((w - other).norm().item<double>(), least);
    // A small rotation of the nearest one, too.
    const at::Tensor a = 0.01 * other.flatten(1).slice(1, 0, 6);
    const at::Tensor turned = (a - a.t()).matrix_exp().mm(nearest.flatten(1)).reshape(w.sizes());
    EXPECT_GE((w - turned).norm().item<double>(), least);
  }
}

}  // namespace
}  // namespace residua
