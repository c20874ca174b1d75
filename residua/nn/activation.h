#pragma once
// Pointwise activations by name.

#include <ATen/core/Tensor.h>

#include <array>

#include "residua/core/options.h"

namespace residua {

enum class Activation {
  none,
  relu,
  gelu,       // x * Phi(x), exact (Hendrycks and Gimpel 2016, arXiv:1606.08415)
  gelu_tanh,  // its approximation by tanh, as in GPT-2
  silu,
  tanh,
};

template <>
struct EnumNames<Activation> {
  static constexpr std::array names{"none", "relu", "gelu", "gelu_tanh", "silu", "tanh"};
};

at::Tensor activate(const at::Tensor& x, Activation activation);

}  // namespace residua
