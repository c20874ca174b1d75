#pragma once
// Mixing a batch with its own reverse: mixup (Zhang et al. 2017) and CutMix (Yun et al. 2019), with
// timm's draws.

#include <cstdint>
#include <span>

#include "residua/core/random.h"
#include "residua/data/options.h"
#include "residua/io/image.h"

namespace residua {

// One draw for a batch. An image keeps the part `weight` of itself (and of its label); the rest
// comes from the image at the same distance from the other end of the batch.
struct BatchMix {
  double weight = 1;
  bool cut = false;  // CutMix: `box` comes from the other image; else all pixels are blended
  CropBox box;
};

// CutMix's weight is the exact part of the area outside the box after clipping it to the image.
BatchMix draw_mix(const MixOptions& options, int64_t height, int64_t width, Random& random);

// `images` is [count, channels, height, width], or [count, height, width, channels] with
// `channels_last`.
void mix_images(const BatchMix& mix, int64_t count, int64_t channels, int64_t height, int64_t width,
                bool channels_last, float* images);

// Labels to mixed one-hot rows [count, classes].
void mix_labels(const BatchMix& mix, std::span<const int64_t> labels, int64_t classes,
                float* targets);

}  // namespace residua
