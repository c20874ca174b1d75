#include "residua/nn/channel_attention.h"

#include <torch/torch.h>

#include <algorithm>

#include "residua/nn/observe.h"

namespace residua {

at::Tensor open_gate(const at::Tensor& x, Gate gate) {
  return gate == Gate::sigmoid ? x.sigmoid() : at::hardsigmoid(x);
}

int64_t round_channels(double value, int64_t divisor, double floor_share) {
  const int64_t rounded =
      static_cast<int64_t>(value + static_cast<double>(divisor) / 2) / divisor * divisor;
  const int64_t channels = std::max(divisor, rounded);
  const bool too_few = static_cast<double>(channels) < floor_share * value;
  return too_few ? channels + divisor : channels;
}

SqueezeExcite::SqueezeExcite(int64_t channels, const SqueezeExciteOptions& options,
                             const Random& random)
    : torch::nn::Module("SqueezeExcite"), options_(options) {
  const int64_t inner =
      round_channels(static_cast<double>(channels) * options.ratio, options.divisor, 0);
  const Conv2dOptions conv{.bias = options.bias, .init = WeightInit::he_fan_in};
  fc1_ = register_module("fc1", conv2d(channels, inner, 1, conv, random.split("fc1")));
  fc2_ = register_module("fc2", conv2d(inner, channels, 1, conv, random.split("fc2")));
}

at::Tensor SqueezeExcite::scale(const at::Tensor& x) const {
  const at::Tensor squeezed = x.mean({2, 3}, /*keepdim=*/true);
  return open_gate(fc2_->forward(activate(fc1_->forward(squeezed), options_.act)), options_.gate);
}

at::Tensor SqueezeExcite::forward(const at::Tensor& x) const {
  at::Tensor y = x * scale(x);
  observe(*this, x, y);
  return y;
}

}  // namespace residua
