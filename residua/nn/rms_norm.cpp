#include "residua/nn/rms_norm.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/nn/layer_norm.h"
#include "residua/nn/observe.h"

namespace residua {

RmsNorm::RmsNorm(int64_t size, double eps_) : VectorNorm("RmsNorm"), eps(eps_) {
  weight = register_parameter("weight", torch::ones({size}));
}

at::Tensor RmsNorm::forward(const at::Tensor& x) const {
  at::Tensor y = x * (x.square().mean(-1, /*keepdim=*/true) + eps).rsqrt() * weight;
  observe(*this, x, y);
  return y;
}

void RmsNorm::pretty_print(std::ostream& stream) const {
  stream << fmt::format("RmsNorm({})", weight.size(0));
}

std::shared_ptr<VectorNorm> vector_norm(VectorNormKind kind, int64_t size, double eps, bool bias) {
  if (kind == VectorNormKind::rms) return std::make_shared<RmsNorm>(size, eps);
  return std::make_shared<LayerNorm>(size, eps, bias);
}

}  // namespace residua
