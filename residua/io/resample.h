#pragma once
// Bilinear resizing with antialiasing, bit for bit that of PIL (and so of torchvision on PIL
// images): the triangle filter is widened by the reduction, columns first, rounded to 8 bits, then
// rows.

#include <cstdint>
#include <vector>

#include "residua/io/image.h"

namespace residua {

// The picture of `height` x `width` resized to `out_height` x `out_width`, of which only `window`
// is wanted.
struct Resize {
  int64_t height = 0, width = 0;
  int64_t out_height = 0, out_width = 0;
  CropBox window;

  CropBox source() const;  // the part of the picture that the window depends on
};

// The middle of `height` x `width` after the shorter side became `shorter`, as torchvision's Resize
// and CenterCrop on PIL images.
Resize center_resize(int64_t from_height, int64_t from_width, int64_t shorter, int64_t height,
                     int64_t width);

// Memory used again from image to image.
struct ResampleScratch {
  struct Axis {
    std::vector<int32_t> first, count;  // source pixels of each output pixel
    std::vector<int32_t> weights;       // fixed point, `taps` for each output pixel
    int64_t taps = 0;
  };
  Axis rows, columns;
  std::vector<uint8_t> between;
};

// `part` is a piece of the picture whose upper left corner lies at (top, left) and which covers
// `resize.source()`. `out` becomes the window, with as many channels as the part.
void resample(const Image& part, int64_t top, int64_t left, const Resize& resize, Image& out,
              ResampleScratch& scratch);

// The whole picture, resized.
Image resized(const Image& image, int64_t height, int64_t width);

}  // namespace residua
