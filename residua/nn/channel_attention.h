#pragma once
// Layers that weigh the channels of images [N, C, H, W] by what the image holds.

#include <torch/nn/module.h>

#include <array>
#include <memory>

#include "residua/core/options.h"
#include "residua/core/random.h"
#include "residua/nn/activation.h"
#include "residua/nn/conv.h"

namespace residua {

enum class Gate {
  sigmoid,
  hard_sigmoid,  // clamp(x / 6 + 1 / 2, 0, 1)
};

template <>
struct EnumNames<Gate> {
  static constexpr std::array names{"sigmoid", "hard_sigmoid"};
};

at::Tensor open_gate(const at::Tensor& x, Gate gate);

// The multiple of `divisor` nearest to `value`, at least `divisor`; `floor_share` of the value is
// the least that it may be rounded down to.
int64_t round_channels(double value, int64_t divisor, double floor_share = 0.9);

struct SqueezeExciteOptions {
  double ratio = 1.0 / 16;  // inner over outer channels, rounded to a multiple of `divisor`
  int64_t divisor = 8;
  bool bias = true;
  Activation act = Activation::relu;
  Gate gate = Gate::sigmoid;
};

// x * gate(W2 act(W1 mean(x))) ("Squeeze-and-Excitation Networks", Hu et al. 2017,
// arXiv:1709.01507). Parameters: fc1, fc2, 1x1 convolutions.
class SqueezeExcite final : public torch::nn::Module {
 public:
  SqueezeExcite(int64_t channels, const SqueezeExciteOptions& options, const Random& random);
  at::Tensor forward(const at::Tensor& x) const;
  at::Tensor scale(const at::Tensor& x) const;  // the gates alone, [N, C, 1, 1]

 private:
  SqueezeExciteOptions options_;
  std::shared_ptr<Conv2d> fc1_, fc2_;
};

}  // namespace residua
