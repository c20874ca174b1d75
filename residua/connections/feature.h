#pragma once
// What connections read off a stream that may be images [N, C, H, W], tokens [N, T, C] or vectors
// [N, C], and how numbers for each channel or sample get back onto it.

#include <ATen/core/Tensor.h>

#include "residua/connections/site.h"

namespace residua {

// The mean over positions of each channel: images and tokens of a ViT give [N, C]. Vectors, and the
// tokens of a GPT, none of which may see a later one, are themselves.
at::Tensor channel_means(const at::Tensor& x, CarrierKind kind);

// What channel_means gave, in a shape that multiplies the stream.
at::Tensor over_positions(const at::Tensor& means, CarrierKind kind);

// Numbers for each leading index of x ([N], or [N, T] for tokens), in a shape that multiplies the
// stream.
at::Tensor over_channels(const at::Tensor& numbers, const at::Tensor& x);

// The dimension of the channels.
inline int64_t channel_dim(CarrierKind kind) { return kind == CarrierKind::cnn ? 1 : -1; }

}  // namespace residua
