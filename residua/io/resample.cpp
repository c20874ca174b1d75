#include "residua/io/resample.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "residua/core/error.h"

namespace residua {

namespace {

constexpr int kWeightBits = 32 - 8 - 2;  // as PIL: 8-bit pixels times weights, summed, in 32 bits
constexpr int32_t kHalf = 1 << (kWeightBits - 1);

uint8_t to_byte(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

struct Taps {
  double center = 0;
  int64_t first = 0, count = 0;
};

// The source pixels under the filter of one output pixel.
Taps taps_at(int64_t in, int64_t out, int64_t position) {
  const double scale = static_cast<double>(in) / static_cast<double>(out),
               support = std::max(scale, 1.0);
  const double center = (static_cast<double>(position) + 0.5) * scale;
  const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(center - support + 0.5));
  const int64_t last = std::min(in, static_cast<int64_t>(center + support + 0.5));
  return {center, first, last - first};
}

void plan_axis(int64_t in, int64_t out, int64_t begin, int64_t length,
               ResampleScratch::Axis& axis) {
  const double reduction = std::max(static_cast<double>(in) / static_cast<double>(out), 1.0);
  axis.taps = static_cast<int64_t>(std::ceil(reduction)) * 2 + 1;
  axis.first.resize(length);
  axis.count.resize(length);
  axis.weights.assign(length * axis.taps, 0);
  std::vector<double> weights(axis.taps);
  for (int64_t i = 0; i < length; ++i) {
    const Taps taps = taps_at(in, out, begin + i);
    double sum = 0;
    for (int64_t k = 0; k < taps.count; ++k) {
      const double distance = (static_cast<double>(k + taps.first) - taps.center + 0.5) / reduction;
      sum += weights[k] = std::max(0.0, 1 - std::abs(distance));
    }
    for (int64_t k = 0; k < taps.count; ++k)
      axis.weights[i * axis.taps + k] =
          static_cast<int32_t>(0.5 + weights[k] / sum * (1 << kWeightBits));
    axis.first[i] = static_cast<int32_t>(taps.first);
    axis.count[i] = static_cast<int32_t>(taps.count);
  }
}

// One row: every output pixel from the source pixels under its filter. `left` is the first column
// present.
template <int kChannels>
void resample_row(const uint8_t* in, int64_t left, const ResampleScratch::Axis& axis,
                  uint8_t* out) {
  const size_t length = axis.first.size();
  for (size_t x = 0; x < length; ++x) {
    const uint8_t* pixel = in + (axis.first[x] - left) * kChannels;
    const int32_t* weight = axis.weights.data() + x * axis.taps;
    int32_t sum[kChannels];
    std::fill_n(sum, kChannels, kHalf);
    for (int32_t k = 0; k < axis.count[x]; ++k, pixel += kChannels)
      for (int c = 0; c < kChannels; ++c) sum[c] += pixel[c] * weight[k];
    for (int c = 0; c < kChannels; ++c) out[x * kChannels + c] = to_byte(sum[c]);
  }
}

using ResampleRow = void (*)(const uint8_t*, int64_t, const ResampleScratch::Axis&, uint8_t*);

ResampleRow row_function(int64_t channels) {
  switch (channels) {
    case 1: return resample_row<1>;
    case 2: return resample_row<2>;
    case 3: return resample_row<3>;
    default: return resample_row<4>;
  }
}

// A weighted sum of whole rows, a strip at a time so that the sums stay in the fastest cache.
void combine_rows(const uint8_t* in, int64_t row_bytes, const int32_t* weights, int64_t count,
                  uint8_t* out) {
  constexpr int64_t kStrip = 256;
  for (int64_t begin = 0; begin < row_bytes; begin += kStrip) {
    const int64_t length = std::min(kStrip, row_bytes - begin);
    int32_t sums[kStrip];
    std::fill_n(sums, length, kHalf);
    for (int64_t k = 0; k < count; ++k) {
      const uint8_t* row = in + k * row_bytes + begin;
      const int32_t weight = weights[k];
      for (int64_t i = 0; i < length; ++i) sums[i] += row[i] * weight;
    }
    for (int64_t i = 0; i < length; ++i) out[begin + i] = to_byte(sums[i]);
  }
}

void check_covers(const Image& part, int64_t top, int64_t left, const CropBox& needed) {
  if (top <= needed.top && left <= needed.left && top + part.height >= needed.top + needed.height &&
      left + part.width >= needed.left + needed.width)
    return;
  throw Error(ErrorKind::internal,
              {.where = "resample",
               .rule = "the part does not cover what is needed",
               .expected = fmt::format("{} x {} at ({}, {})", needed.height, needed.width,
                                       needed.top, needed.left),
               .received = fmt::format("{} x {} at ({}, {})", part.height, part.width, top, left)});
}

}  // namespace

CropBox Resize::source() const {
  const auto range = [](int64_t in, int64_t out, int64_t begin, int64_t length) {
    const Taps low = taps_at(in, out, begin), high = taps_at(in, out, begin + length - 1);
    return std::pair(low.first, high.first + high.count - low.first);
  };
  const auto [top, rows] = range(height, out_height, window.top, window.height);
  const auto [left, columns] = range(width, out_width, window.left, window.width);
  return {top, left, rows, columns};
}

Resize center_resize(int64_t from_height, int64_t from_width, int64_t shorter, int64_t height,
                     int64_t width) {
  const bool tall = from_height > from_width;
  const int64_t longer =
      shorter * std::max(from_height, from_width) / std::min(from_height, from_width);
  const int64_t out_height = tall ? longer : shorter, out_width = tall ? shorter : longer;
  const auto middle = [](int64_t outer, int64_t inner) {
    return static_cast<int64_t>(std::nearbyint(static_cast<double>(outer - inner) / 2));
  };
  return {from_height,
          from_width,
          out_height,
          out_width,
          {middle(out_height, height), middle(out_width, width), height, width}};
}

void resample(const Image& part, int64_t top, int64_t left, const Resize& resize, Image& out,
              ResampleScratch& scratch) {
  const CropBox needed = resize.source();
  check_covers(part, top, left, needed);
  plan_axis(resize.width, resize.out_width, resize.window.left, resize.window.width,
            scratch.columns);
  plan_axis(resize.height, resize.out_height, resize.window.top, resize.window.height,
            scratch.rows);

  const int64_t channels = part.channels, row_bytes = resize.window.width * channels;
  const ResampleRow resample_one = row_function(channels);
  scratch.between.resize(needed.height * row_bytes);
  for (int64_t y = 0; y < needed.height; ++y)
    resample_one(part.pixels.data() + (needed.top - top + y) * part.width * channels, left,
                 scratch.columns, scratch.between.data() + y * row_bytes);

  out.height = resize.window.height;
  out.width = resize.window.width;
  out.channels = channels;
  out.pixels.resize(out.height * row_bytes);
  for (int64_t y = 0; y < out.height; ++y)
    combine_rows(scratch.between.data() + (scratch.rows.first[y] - needed.top) * row_bytes,
                 row_bytes, scratch.rows.weights.data() + y * scratch.rows.taps,
                 scratch.rows.count[y], out.pixels.data() + y * row_bytes);
}

Image resized(const Image& image, int64_t height, int64_t width) {
  Image out;
  ResampleScratch scratch;
  resample(image, 0, 0, {image.height, image.width, height, width, {0, 0, height, width}}, out,
           scratch);
  return out;
}

}  // namespace residua
