#pragma once
// What convolutions and linear maps have in common, for blocks that are built of either kind.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "residua/nn/layer.h"

namespace residua {

class WeightLayer : public torch::nn::Module, public CountsMacs {
 public:
  virtual at::Tensor forward(const at::Tensor& x) const = 0;

  at::Tensor weight;  // dimension 0 counts the outputs
  at::Tensor bias;    // [outputs]; undefined without

 protected:
  explicit WeightLayer(const char* name) : torch::nn::Module(name) {}
};

}  // namespace residua
