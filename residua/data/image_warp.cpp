#include "residua/data/image_warp.h"

#include <cmath>
#include <cstring>
#include <numbers>
#include <utility>

namespace residua {

namespace {

int64_t fixed_point(double value) {
  return static_cast<int64_t>(std::floor(value * 65536.0 + 0.5));
}

// Whole numbers of 1/65536 pixel; the sums may pass below zero, where the shift still rounds down.
struct FixedAffine {
  int64_t xx, xy, x0, yx, yy, y0;
};

void sample_nearest(const Image& in, const FixedAffine& m, Image& out) {
  const int64_t channels = in.channels;
  uint8_t* to = out.pixels.data();
  for (int64_t y = 0; y < out.height; ++y) {
    int64_t from_x = m.x0 + m.xy * y, from_y = m.y0 + m.yy * y;
    for (int64_t x = 0; x < out.width; ++x, from_x += m.xx, from_y += m.yx, to += channels) {
      const int64_t in_x = from_x >> 16, in_y = from_y >> 16;
      if (in_x < 0 || in_x >= in.width || in_y < 0 || in_y >= in.height) continue;
      std::memcpy(to, &in.pixels[(in_y * in.width + in_x) * channels], channels);
    }
  }
}

double rounded_15(double value) { return std::nearbyint(value * 1e15) / 1e15; }

}  // namespace

void warp_affine(Image& image, const std::array<double, 6>& m, Image& memory) {
  memory.height = image.height;
  memory.width = image.width;
  memory.channels = image.channels;
  memory.pixels.assign(image.pixels.size(), 0);
  const FixedAffine fixed{
      fixed_point(m[0]), fixed_point(m[1]), fixed_point(m[2] + m[0] * 0.5 + m[1] * 0.5),
      fixed_point(m[3]), fixed_point(m[4]), fixed_point(m[5] + m[3] * 0.5 + m[4] * 0.5)};
  sample_nearest(image, fixed, memory);
  std::swap(image, memory);
}

void warp_rotate(Image& image, double degrees, Image& memory) {
  if (degrees == 0) return;
  const double angle = -std::fmod(std::fmod(degrees, 360) + 360, 360) * std::numbers::pi / 180;
  const double cosine = rounded_15(std::cos(angle)), sine = rounded_15(std::sin(angle));
  const double center_x = static_cast<double>(image.width) / 2,
               center_y = static_cast<double>(image.height) / 2;
  warp_affine(image,
              {cosine, sine, center_x - cosine * center_x - sine * center_y, -sine, cosine,
               center_y + sine * center_x - cosine * center_y},
              memory);
}

}  // namespace residua
