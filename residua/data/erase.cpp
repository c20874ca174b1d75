#include "residua/data/erase.h"

#include <cmath>
#include <optional>

#include "residua/io/image.h"

namespace residua {

namespace {

std::optional<CropBox> erased_box(const EraseOptions& options, Random& random, int64_t height,
                                  int64_t width) {
  const double log_ratio = std::log(options.min_ratio);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double area =
        static_cast<double>(height * width) * random.uniform(options.min_area, options.max_area);
    const double ratio = std::exp(random.uniform(log_ratio, -log_ratio));
    const auto rows = static_cast<int64_t>(std::nearbyint(std::sqrt(area * ratio)));
    const auto columns = static_cast<int64_t>(std::nearbyint(std::sqrt(area / ratio)));
    if (rows >= height || columns >= width) continue;
    const int64_t top = random.integer(0, height - rows + 1);
    return CropBox{top, random.integer(0, width - columns + 1), rows, columns};
  }
  return std::nullopt;
}

}  // namespace

void random_erase(const EraseOptions& options, Random& random, int64_t channels, int64_t height,
                  int64_t width, bool channels_last, std::span<float> image) {
  if (!random.bernoulli(options.probability)) return;
  const auto box = erased_box(options, random, height, width);
  if (!box) return;
  // Drawn in one order for both layouts, so that they give the same image.
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t y = box->top; y < box->top + box->height; ++y)
      for (int64_t x = box->left; x < box->left + box->width; ++x) {
        const int64_t at =
            channels_last ? (y * width + x) * channels + c : (c * height + y) * width + x;
        image[at] = options.fill == EraseFill::noise ? static_cast<float>(random.normal()) : 0.0f;
      }
}

}  // namespace residua
