#pragma once
// Stochastic depth inside a block, one draw for each sample ("Deep Networks with Stochastic Depth",
// Huang et al. 2016, arXiv:1603.09382; per sample as in EfficientNet).

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <vector>

namespace residua {

// Each sample of y [N, ...] is 0 with probability `rate` in [0, 1), else divided by 1 - rate;
// without training y itself. Draws from torch's generator.
at::Tensor drop_path(const at::Tensor& y, double rate, bool training);

// Rates of `depth` blocks that rise linearly from 0 to `last`.
std::vector<double> drop_path_rates(double last, int64_t depth);

class DropPath final : public torch::nn::Module {
 public:
  explicit DropPath(double rate);
  at::Tensor forward(const at::Tensor& y) const { return drop_path(y, rate, is_training()); }
  void pretty_print(std::ostream& stream) const override;

  double rate;
};

}  // namespace residua
