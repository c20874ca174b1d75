#include "residua/nn/layer_norm.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/nn/observe.h"

namespace residua {

LayerNorm::LayerNorm(int64_t size, double eps_, bool with_bias)
    : VectorNorm("LayerNorm"), eps(eps_) {
  weight = register_parameter("weight", torch::ones({size}));
  if (with_bias) bias = register_parameter("bias", torch::zeros({size}));
}

at::Tensor LayerNorm::forward(const at::Tensor& x) const {
  at::Tensor y = at::layer_norm(x, {weight.size(0)}, weight, bias, eps);
  observe(*this, x, y);
  return y;
}

void LayerNorm::pretty_print(std::ostream& stream) const {
  stream << fmt::format("LayerNorm({}{})", weight.size(0), bias.defined() ? "" : ", no bias");
}

}  // namespace residua
