#pragma once
// The hierarchical MLP stem of "Three things everyone should know about Vision Transformers"
// (arXiv:2203.09795, section 5): convolutions that do not overlap turn a patch into a vector in
// three steps. No patch sees another, so masking patches before the stem or vectors behind it is
// the same.

#include <torch/nn/module.h>

#include <memory>

#include "residua/nn/batch_norm.h"
#include "residua/nn/conv.h"

namespace residua {

// Parameters, under the reference's numbers: 0 convolution to dim / 4, 1 normalisation, (2 GELU),
// 3 convolution 2x2, 4 normalisation, (5 GELU), 6 convolution 2x2 to dim, 7 normalisation.
class HmlpStem final : public torch::nn::Module {
 public:
  // The first convolution has patch / 4 pixels. Throws ErrorKind::invalid_argument unless 4 divides
  // both numbers.
  HmlpStem(int64_t in_channels, int64_t dim, int64_t patch, const Random& random);

  at::Tensor forward(const at::Tensor& x);  // [N, C, H, W] -> [N, dim, H / patch, W / patch]

 private:
  std::shared_ptr<Conv2d> conv0_, conv3_, conv6_;
  std::shared_ptr<BatchNorm2d> norm1_, norm4_, norm7_;
};

}  // namespace residua
