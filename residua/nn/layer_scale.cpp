#include "residua/nn/layer_scale.h"

#include <torch/torch.h>

#include "residua/nn/observe.h"

namespace residua {

LayerScale::LayerScale(int64_t size, double init) : torch::nn::Module("LayerScale") {
  gamma = register_parameter("gamma", torch::full({size}, init));
}

at::Tensor LayerScale::forward(const at::Tensor& x) const {
  at::Tensor y = x * gamma;
  observe(*this, x, y);
  return y;
}

}  // namespace residua
