#pragma once
// Normalisation of vectors, of whatever kind: layer_norm.h, rms_norm.h.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <array>
#include <memory>

#include "residua/core/options.h"

namespace residua {

class VectorNorm : public torch::nn::Module {
 public:
  using torch::nn::Module::Module;
  virtual at::Tensor forward(const at::Tensor& x) const = 0;  // over the last dimension
};

enum class VectorNormKind { layer, rms };

template <>
struct EnumNames<VectorNormKind> {
  static constexpr std::array names{"layer", "rms"};
};

// `bias` is of layer normalisation alone.
std::shared_ptr<VectorNorm> vector_norm(VectorNormKind kind, int64_t size, double eps, bool bias);

}  // namespace residua
