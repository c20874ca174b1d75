#pragma once
// Further layers that weigh images [N, C, H, W] by what they hold; each gives the weights alone,
// in a shape that multiplies the image.

#include <torch/nn/module.h>

#include <memory>

#include "residua/core/random.h"

namespace residua {

class BatchNorm2d;
class Conv2d;
class Linear;

// "ECA-Net" (Wang et al. 2019, arXiv:1910.03151): sigmoid of a convolution of `kernel` (odd)
// neighbouring channels of the means. Parameter: conv.weight [1, 1, kernel].
class EfficientChannelAttention final : public torch::nn::Module {
 public:
  EfficientChannelAttention(int64_t kernel, const Random& random);
  at::Tensor scale(const at::Tensor& x) const;  // [N, C, 1, 1]

 private:
  at::Tensor weight_;
};

// "CBAM" (Woo, Park, Lee, Kweon 2018, arXiv:1807.06521): weights of channels by one MLP of their
// means and their maxima, then weights of positions by a 7x7 convolution of the mean and maximum
// over the weighted channels. Parameters are those of Jongchan/attention-module:
// ChannelGate.mlp.{1,3}, SpatialGate.spatial.{conv,bn}.
class BlockAttention final : public torch::nn::Module {
 public:
  // `hidden` units of the MLP.
  BlockAttention(int64_t channels, int64_t hidden, const Random& random);
  at::Tensor scale(const at::Tensor& x) const;  // [N, C, H, W]

 private:
  at::Tensor of_channels(const at::Tensor& x) const;
  at::Tensor of_positions(const at::Tensor& x) const;
  std::shared_ptr<Linear> fc1_, fc2_;
  std::shared_ptr<Conv2d> conv_;
  std::shared_ptr<BatchNorm2d> bn_;
};

// "SRM: A Style-based Recalibration Module" (Lee, Kim, Nam 2019, arXiv:1903.10829): sigmoid of the
// normalised cfc[c] . (mean, standard deviation) of each channel. Parameters: cfc [C, 2] (0), bn.
class StyleRecalibration final : public torch::nn::Module {
 public:
  explicit StyleRecalibration(int64_t channels);
  at::Tensor scale(const at::Tensor& x) const;  // [N, C, 1, 1]

 private:
  at::Tensor cfc_;
  std::shared_ptr<BatchNorm2d> bn_;
};

}  // namespace residua
