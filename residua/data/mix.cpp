#include "residua/data/mix.h"

#include <algorithm>
#include <cmath>

namespace residua {

namespace {

// Swaps rows [0, length) of a pair of images.
void swap_run(float* a, float* b, int64_t length) { std::swap_ranges(a, a + length, b); }

void swap_box(const CropBox& box, int64_t channels, int64_t height, int64_t width,
              bool channels_last, float* a, float* b) {
  for (int64_t y = box.top; y < box.top + box.height; ++y) {
    if (channels_last) {
      const int64_t at = (y * width + box.left) * channels;
      swap_run(a + at, b + at, box.width * channels);
      continue;
    }
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t at = (c * height + y) * width + box.left;
      swap_run(a + at, b + at, box.width);
    }
  }
}

void blend_pair(float weight, int64_t length, float* a, float* b) {
  const float rest = 1 - weight;
  for (int64_t i = 0; i < length; ++i) {
    const float x = a[i], y = b[i];
    a[i] = weight * x + rest * y;
    b[i] = weight * y + rest * x;
  }
}

}  // namespace

BatchMix draw_mix(const MixOptions& options, int64_t height, int64_t width, Random& random) {
  BatchMix mix;
  if (!options.enabled() || !random.bernoulli(options.probability)) return mix;
  mix.cut =
      options.cutmix > 0 && (options.mixup <= 0 || random.bernoulli(options.switch_probability));
  const double alpha = mix.cut ? options.cutmix : options.mixup;
  mix.weight = random.beta(alpha, alpha);
  if (!mix.cut) return mix;

  const double side = std::sqrt(1 - mix.weight);
  const int64_t half_height = static_cast<int64_t>(static_cast<double>(height) * side) / 2;
  const int64_t half_width = static_cast<int64_t>(static_cast<double>(width) * side) / 2;
  const int64_t y = random.integer(0, height), x = random.integer(0, width);
  const int64_t top = std::max<int64_t>(0, y - half_height),
                bottom = std::min(height, y + half_height);
  const int64_t left = std::max<int64_t>(0, x - half_width),
                right = std::min(width, x + half_width);
  mix.box = {top, left, bottom - top, right - left};
  mix.weight =
      1 - static_cast<double>(mix.box.height * mix.box.width) / static_cast<double>(height * width);
  return mix;
}

void mix_images(const BatchMix& mix, int64_t count, int64_t channels, int64_t height, int64_t width,
                bool channels_last, float* images) {
  if (mix.weight == 1) return;
  const int64_t length = channels * height * width;
  for (int64_t i = 0; i < count / 2; ++i) {
    float* a = images + i * length;
    float* b = images + (count - 1 - i) * length;
    if (mix.cut) {
      swap_box(mix.box, channels, height, width, channels_last, a, b);
    } else {
      blend_pair(static_cast<float>(mix.weight), length, a, b);
    }
  }
}

void mix_labels(const BatchMix& mix, std::span<const int64_t> labels, int64_t classes,
                float* targets) {
  const int64_t count = static_cast<int64_t>(labels.size());
  std::fill_n(targets, count * classes, 0.0f);
  for (int64_t i = 0; i < count; ++i) {
    float* row = targets + i * classes;
    row[labels[i]] += static_cast<float>(mix.weight);
    row[labels[count - 1 - i]] += static_cast<float>(1 - mix.weight);
  }
}

}  // namespace residua
