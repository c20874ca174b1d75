#pragma once
// 8-bit images in memory; JPEG and PNG in, PNG out.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace residua {

struct Image {
  int64_t height = 0, width = 0;
  int64_t channels = 0;              // 1 grey, 2 grey + alpha, 3 RGB, 4 RGBA
  std::vector<uint8_t> pixels = {};  // row-major, channels last: height * width * channels
  std::string warning = {};  // what the decoder complained about but could repair, usually empty
};

// A rectangle in pixels; `top`, `left` from the upper left corner.
struct CropBox {
  int64_t top = 0, left = 0, height = 0, width = 0;
};

struct ImageSize {
  int64_t height = 0, width = 0, channels = 0;
};

inline constexpr int64_t kMaxPixels =
    178'956'970;  // as PIL: a quarter of a gibibyte in RGB pixels, doubled

// Format by magic bytes. Palette PNG becomes RGB or RGBA, 16-bit PNG keeps its high byte, CMYK JPEG
// becomes RGB by PIL's formula. EXIF orientation and gamma are ignored. `where` names the source in
// errors: corrupt_file for damaged or truncated data, limit above kMaxPixels, unsupported for
// another format.
Image decode_image(std::span<const std::byte> bytes, std::string_view where);
Image read_image(const std::string& path);

// Height, width and channels from the header alone.
ImageSize image_size(std::span<const std::byte> bytes, std::string_view where);

bool is_jpeg(std::span<const std::byte> bytes);
bool is_png(std::span<const std::byte> bytes);

// Decodes only what `box` needs of a JPEG; pixel for pixel equal to a full decode cut to `box`,
// which must lie within the image (ErrorKind::invalid_argument).
Image decode_jpeg_crop(std::span<const std::byte> bytes, const CropBox& box,
                       std::string_view where);

Image crop(const Image& image, const CropBox& box);

Image to_rgb(const Image& image);  // grey is repeated, alpha dropped
Image to_grey(
    const Image& image);  // L = (19595 R + 38470 G + 7471 B + 32768) >> 16, as PIL (ITU-R 601)

std::vector<std::byte> encode_png(const Image& image);
void write_png(const std::string& path, const Image& image);  // atomic

}  // namespace residua
