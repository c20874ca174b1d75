#pragma once
// Two-dimensional convolution.
//
//   conv_ = register_module("conv1", conv2d(3, 64, 7, {.stride = 2, .padding = 3},
//   random.split("conv1"))); y = conv_->forward(x);  // [N, 3, H, W] -> [N, 64, H', W']

#include <memory>

#include "residua/core/random.h"
#include "residua/nn/weight_layer.h"

namespace residua {

struct Conv2dOptions {
  int64_t stride = 1;
  int64_t padding = 0;  // zeros on each side
  int64_t dilation = 1;
  int64_t groups = 1;  // divides both channel counts
  bool bias = false;
  WeightInit init = WeightInit::he_fan_out;
};

// Parameters: weight [out, in / groups, kernel, kernel], and bias [out] (initially 0) where asked
// for.
class Conv2d final : public WeightLayer {
 public:
  Conv2d(int64_t in, int64_t out, int64_t kernel, const Conv2dOptions& options,
         const Random& random);

  at::Tensor forward(const at::Tensor& x) const override;
  int64_t macs(const at::Tensor& input, const at::Tensor& output) const override;
  void pretty_print(std::ostream& stream) const override;
  const Conv2dOptions& options() const { return options_; }

 private:
  Conv2dOptions options_;
};

std::shared_ptr<Conv2d> conv2d(int64_t in, int64_t out, int64_t kernel,
                               const Conv2dOptions& options, const Random& random);

}  // namespace residua
