#pragma once
// One learned gain for each channel (Touvron et al. 2021, "Going deeper with Image Transformers",
// arXiv:2103.17239).

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

namespace residua {

// Parameter gamma [size], initially `init`.
class LayerScale final : public torch::nn::Module {
 public:
  LayerScale(int64_t size, double init);

  at::Tensor forward(const at::Tensor& x) const;  // [..., size]

  at::Tensor gamma;
};

}  // namespace residua
