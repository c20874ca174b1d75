#include "residua/nn/channel_attention_more.h"

#include <torch/torch.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/nn/batch_norm.h"
#include "residua/nn/conv.h"
#include "residua/nn/init.h"
#include "residua/nn/linear.h"

namespace residua {

EfficientChannelAttention::EfficientChannelAttention(int64_t kernel, const Random& random)
    : torch::nn::Module("EfficientChannelAttention") {
  if (kernel < 1 || kernel % 2 == 0)
    throw Error(ErrorKind::invalid_argument, {.where = "channel attention",
                                              .rule = "the kernel must be odd",
                                              .received = std::to_string(kernel)});
  const auto conv = register_module("conv", std::make_shared<torch::nn::Module>("Conv1d"));
  const at::Tensor values = torch::empty({1, 1, kernel});
  fill_uniform(values, 1 / std::sqrt(static_cast<double>(kernel)), random.split("conv"));
  weight_ = conv->register_parameter("weight", values);
}

at::Tensor EfficientChannelAttention::scale(const at::Tensor& x) const {
  const at::Tensor means = x.mean({2, 3}).unsqueeze(1);
  const at::Tensor mixed = at::conv1d(means, weight_, {}, 1, weight_.size(2) / 2);
  return mixed.sigmoid().squeeze(1).unsqueeze(-1).unsqueeze(-1);
}

BlockAttention::BlockAttention(int64_t channels, int64_t hidden, const Random& random)
    : torch::nn::Module("BlockAttention") {
  const auto part = [](torch::nn::Module& owner, const char* name) {
    return owner.register_module(name, std::make_shared<torch::nn::Module>(name));
  };
  const auto mlp = part(*part(*this, "ChannelGate"), "mlp");
  fc1_ = mlp->register_module("1", linear(channels, hidden, {}, random.split("fc1")));
  fc2_ = mlp->register_module("3", linear(hidden, channels, {}, random.split("fc2")));
  const auto spatial = part(*part(*this, "SpatialGate"), "spatial");
  conv_ = spatial->register_module("conv", conv2d(2, 1, 7, {.padding = 3}, random.split("conv")));
  bn_ = spatial->register_module("bn", std::make_shared<BatchNorm2d>(1, 1e-5, 0.01));
}

at::Tensor BlockAttention::of_channels(const at::Tensor& x) const {
  const auto through = [&](const at::Tensor& pooled) {
    return fc2_->forward(fc1_->forward(pooled).relu());
  };
  const at::Tensor sum = through(x.mean({2, 3})) + through(x.amax({2, 3}));
  return sum.sigmoid().unsqueeze(-1).unsqueeze(-1);
}

at::Tensor BlockAttention::of_positions(const at::Tensor& x) const {
  const at::Tensor pooled = at::cat({x.amax(1, true), x.mean(1, true)}, 1);
  return batch_norm_act(*bn_, conv_->forward(pooled), Act::none).sigmoid();
}

at::Tensor BlockAttention::scale(const at::Tensor& x) const {
  const at::Tensor channels = of_channels(x);
  return channels * of_positions(x * channels);
}

StyleRecalibration::StyleRecalibration(int64_t channels) : torch::nn::Module("StyleRecalibration") {
  cfc_ = register_parameter("cfc", torch::zeros({channels, 2}));
  bn_ = register_module("bn", std::make_shared<BatchNorm2d>(channels));
}

at::Tensor StyleRecalibration::scale(const at::Tensor& x) const {
  const at::Tensor flat = x.flatten(2);
  const bool many = flat.size(2) > 1;
  const at::Tensor deviation = (flat.var(2, /*unbiased=*/many) + 1e-5).sqrt();
  const at::Tensor z = flat.mean(2) * cfc_.select(1, 0) + deviation * cfc_.select(1, 1);
  return batch_norm_act(*bn_, z.unsqueeze(-1).unsqueeze(-1), Act::none).sigmoid();
}

}  // namespace residua
