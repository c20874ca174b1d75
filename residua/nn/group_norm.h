#pragma once
// Group normalisation (Wu and He 2018, arXiv:1803.08494): mean and variance of each image over
// groups of channels.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

namespace residua {

// Parameters weight [channels] (1) and bias [channels] (0). `groups` divides the channels.
class GroupNorm final : public torch::nn::Module {
 public:
  GroupNorm(int64_t groups, int64_t channels, double eps = 1e-5);

  at::Tensor forward(const at::Tensor& x) const;  // [N, channels, ...]
  void pretty_print(std::ostream& stream) const override;

  at::Tensor weight, bias;
  int64_t groups;
  double eps;
};

}  // namespace residua
