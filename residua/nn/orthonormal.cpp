#include "residua/nn/orthonormal.h"

#include <torch/torch.h>

#include "residua/nn/init.h"

namespace residua {

std::vector<at::Tensor> filter_groups(const at::Tensor& weight) {
  const at::Tensor filters = weight.reshape({weight.size(0), -1});
  const int64_t groups = (filters.size(0) + filters.size(1) - 1) / filters.size(1);
  return filters.chunk(groups, 0);
}

void fill_orthonormal(const at::Tensor& weight, double gain, const Random& random) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> rows;
  for (const at::Tensor& group : filter_groups(weight)) {
    const at::Tensor normal = at::empty({group.size(1), group.size(0)}, at::kDouble);
    fill_normal(normal, 1, random.split(rows.size()));
    const auto [q, r] = at::linalg_qr(normal);
    // The sign of R's diagonal makes the distribution uniform over orthonormal matrices.
    rows.push_back((q * r.diagonal().sign() * gain).t());
  }
  weight.detach().copy_(at::cat(rows).reshape(weight.sizes()));
}

at::Tensor orthonormality_error(const at::Tensor& weight) {
  at::Tensor sum;
  for (const at::Tensor& group : filter_groups(weight)) {
    const at::Tensor gram = group.mm(group.t());
    const at::Tensor error = (gram - at::eye(gram.size(0), gram.options())).square().sum();
    sum = sum.defined() ? sum + error : error;
  }
  return sum;
}

at::Tensor nearest_orthonormal(const at::Tensor& weight) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> rows;
  for (const at::Tensor& group : filter_groups(weight)) {
    const auto [u, s, vh] = at::linalg_svd(group.to(at::kDouble), /*full_matrices=*/false);
    rows.push_back(u.mm(vh));
  }
  return at::cat(rows).reshape(weight.sizes()).to(weight.scalar_type());
}

}  // namespace residua
