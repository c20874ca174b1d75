#pragma once
// Root mean square normalisation (Zhang, Sennrich 2019, arXiv:1910.07467) over the last dimension:
// x / sqrt(mean(x^2) + eps) * weight.

#include "residua/nn/vector_norm.h"

namespace residua {

// Parameter weight [size] (1).
class RmsNorm final : public VectorNorm {
 public:
  explicit RmsNorm(int64_t size, double eps = 1e-5);

  at::Tensor forward(const at::Tensor& x) const override;
  void pretty_print(std::ostream& stream) const override;

  at::Tensor weight;
  double eps;
};

}  // namespace residua
