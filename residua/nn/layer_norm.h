#pragma once
// Layer normalisation (Ba, Kiros, Hinton 2016, arXiv:1607.06450) over the last dimension.

#include "residua/nn/vector_norm.h"

namespace residua {

// Parameters weight [size] (1) and bias [size] (0; absent without `bias`).
class LayerNorm final : public VectorNorm {
 public:
  explicit LayerNorm(int64_t size, double eps = 1e-5, bool bias = true);

  at::Tensor forward(const at::Tensor& x) const override;
  void pretty_print(std::ostream& stream) const override;

  at::Tensor weight, bias;
  double eps;
};

}  // namespace residua
