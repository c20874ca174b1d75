#include "residua/data/image_color.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace residua {

namespace {

using ByteTable = std::array<uint8_t, 256>;

// PIL's blend: truncated towards zero in single precision.
uint8_t blend(int degenerate, int value, float factor) {
  const float mixed =
      static_cast<float>(degenerate) + factor * static_cast<float>(value - degenerate);
  return static_cast<uint8_t>(std::clamp(mixed, 0.0f, 255.0f));
}

int grey_of(const uint8_t* rgb) {
  return (rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16;
}

void apply_table(Image& image, const ByteTable& table) {
  for (uint8_t& value : image.pixels) value = table[value];
}

template <class MakeTable>
void apply_by_channel(Image& image, const MakeTable& make_table) {
  const int64_t channels = image.channels;
  for (int64_t c = 0; c < channels; ++c) {
    std::array<int64_t, 256> histogram{};
    for (size_t i = c; i < image.pixels.size(); i += channels) ++histogram[image.pixels[i]];
    const ByteTable table = make_table(histogram);
    for (size_t i = c; i < image.pixels.size(); i += channels)
      image.pixels[i] = table[image.pixels[i]];
  }
}

ByteTable identity_table() {
  ByteTable table;
  for (int v = 0; v < 256; ++v) table[v] = static_cast<uint8_t>(v);
  return table;
}

ByteTable autocontrast_table(const std::array<int64_t, 256>& histogram) {
  ByteTable table = identity_table();
  int low = 0, high = 255;
  while (low < 255 && histogram[low] == 0) ++low;
  while (high > 0 && histogram[high] == 0) --high;
  if (high <= low) return table;
  const double scale = 255.0 / (high - low), offset = -low * scale;
  for (int v = 0; v < 256; ++v)
    table[v] = static_cast<uint8_t>(std::clamp(static_cast<int>(v * scale + offset), 0, 255));
  return table;
}

ByteTable equalize_table(const std::array<int64_t, 256>& histogram) {
  ByteTable table = identity_table();
  int64_t pixels = 0, last = 0;
  for (const int64_t count : histogram) {
    pixels += count;
    if (count > 0) last = count;
  }
  const int64_t step = (pixels - last) / 255;
  if (step == 0) return table;
  int64_t sum = step / 2;
  for (int v = 0; v < 256; ++v) {
    table[v] = static_cast<uint8_t>(std::min<int64_t>(sum / step, 255));
    sum += histogram[v];
  }
  return table;
}

// PIL's SMOOTH filter, (1 1 1, 1 5 1, 1 1 1) / 13; the border stays. `out` has the image's size
// already.
void smooth(const Image& image, Image& out) {
  const int64_t channels = image.channels, stride = image.width * channels;
  out.pixels = image.pixels;
  for (int64_t y = 1; y + 1 < image.height; ++y)
    for (int64_t i = channels; i < stride - channels; ++i) {
      const uint8_t* at = image.pixels.data() + y * stride + i;
      int sum = 4 * at[0];
      for (int64_t row = -1; row <= 1; ++row)
        for (int64_t column = -1; column <= 1; ++column)
          sum += at[row * stride + column * channels];
      out.pixels[y * stride + i] =
          static_cast<uint8_t>((2 * sum + 13) / 26);  // rounded; sum / 13 is never a half
    }
}

}  // namespace

void adjust_brightness(Image& image, double factor) {
  ByteTable table;
  for (int v = 0; v < 256; ++v) table[v] = blend(0, v, static_cast<float>(factor));
  apply_table(image, table);
}

void adjust_color(Image& image, double factor) {
  if (image.channels != 3) return;  // grey is its own degenerate image
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    const int grey = grey_of(&image.pixels[i]);
    for (size_t c = 0; c < 3; ++c)
      image.pixels[i + c] = blend(grey, image.pixels[i + c], static_cast<float>(factor));
  }
}

void adjust_contrast(Image& image, double factor) {
  int64_t sum = 0;
  const size_t step = static_cast<size_t>(image.channels);
  for (size_t i = 0; i < image.pixels.size(); i += step)
    sum += step == 3 ? grey_of(&image.pixels[i]) : image.pixels[i];
  const int mean = static_cast<int>(
      static_cast<double>(sum) / static_cast<double>(image.height * image.width) + 0.5);
  ByteTable table;
  for (int v = 0; v < 256; ++v) table[v] = blend(mean, v, static_cast<float>(factor));
  apply_table(image, table);
}

void adjust_sharpness(Image& image, double factor, Image& memory) {
  smooth(image, memory);
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = blend(memory.pixels[i], image.pixels[i], static_cast<float>(factor));
}

void posterize(Image& image, int bits) {
  const uint8_t mask = static_cast<uint8_t>(0xFF << (8 - bits));
  for (uint8_t& value : image.pixels) value &= mask;
}

void solarize(Image& image, double threshold) {
  for (uint8_t& value : image.pixels)
    if (value >= threshold) value = static_cast<uint8_t>(255 - value);
}

void autocontrast(Image& image) { apply_by_channel(image, autocontrast_table); }
void equalize(Image& image) { apply_by_channel(image, equalize_table); }

}  // namespace residua
