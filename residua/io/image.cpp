#include "residua/io/image.h"

#include <algorithm>
#include <cstring>

#include "residua/core/error.h"
#include "residua/io/atomic_file.h"
#include "residua/io/file.h"
#include "residua/io/image_codec.h"

namespace residua {

namespace {

bool has_magic(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

void require_channels(const Image& image, const char* where) {
  if (image.channels < 1 || image.channels > 4 || image.height < 1 || image.width < 1 ||
      image.height > kMaxPixels / image.width ||
      static_cast<int64_t>(image.pixels.size()) != image.height * image.width * image.channels)
    throw Error(ErrorKind::invalid_argument,
                {.where = where,
                 .rule = "the image must have 1 to 4 channels and as many pixels as it says"});
}

[[noreturn]] void unknown_image(std::span<const std::byte> bytes, std::string_view where) {
  throw Error(bytes.empty() ? ErrorKind::corrupt_file : ErrorKind::unsupported,
              {.where = std::string(where),
               .rule = bytes.empty() ? "is empty" : "is no image in a known format",
               .expected = "JPEG or PNG"});
}

}  // namespace

bool is_jpeg(std::span<const std::byte> bytes) { return has_magic(bytes, "\xFF\xD8\xFF"); }
bool is_png(std::span<const std::byte> bytes) { return has_magic(bytes, "\x89PNG\r\n\x1A\n"); }

Image decode_image(std::span<const std::byte> bytes, std::string_view where) {
  if (is_jpeg(bytes)) return decode_jpeg(bytes, where);
  if (is_png(bytes)) return decode_png(bytes, where);
  unknown_image(bytes, where);
}

ImageSize image_size(std::span<const std::byte> bytes, std::string_view where) {
  if (is_jpeg(bytes)) return jpeg_size(bytes, where);
  if (is_png(bytes)) return png_size(bytes, where);
  unknown_image(bytes, where);
}

Image read_image(const std::string& path) { return decode_image(MappedFile(path).bytes(), path); }

void check_pixels(int64_t height, int64_t width, std::string_view where) {
  if (height < 1 || width < 1)
    throw Error(ErrorKind::corrupt_file,
                {.where = std::string(where), .rule = "the image has no pixels"});
  if (height > kMaxPixels / width)
    throw Error(ErrorKind::limit,
                {.where = std::string(where),
                 .rule = "the image is too large",
                 .expected = "at most " + std::to_string(kMaxPixels) + " pixels",
                 .received = std::to_string(width) + " x " + std::to_string(height)});
}

void check_box(const CropBox& box, int64_t height, int64_t width, std::string_view where) {
  if (box.height >= 1 && box.width >= 1 && box.top >= 0 && box.left >= 0 && box.height <= height &&
      box.width <= width && box.top <= height - box.height && box.left <= width - box.width)
    return;
  throw Error(
      ErrorKind::invalid_argument,
      {.where = std::string(where),
       .rule = "the crop must lie within the image",
       .expected = "a box within " + std::to_string(height) + " x " + std::to_string(width),
       .received = std::to_string(box.height) + " x " + std::to_string(box.width) + " from row " +
                   std::to_string(box.top) + ", column " + std::to_string(box.left)});
}

Image crop(const Image& image, const CropBox& box) {
  require_channels(image, "crop");
  check_box(box, image.height, image.width, "crop");
  Image part{.height = box.height, .width = box.width, .channels = image.channels};
  const auto row_bytes = static_cast<size_t>(box.width * image.channels);
  part.pixels.resize(static_cast<size_t>(box.height) * row_bytes);
  for (int64_t row = 0; row < box.height; ++row)
    std::memcpy(&part.pixels[static_cast<size_t>(row) * row_bytes],
                &image.pixels[static_cast<size_t>(((box.top + row) * image.width + box.left) *
                                                  image.channels)],
                row_bytes);
  return part;
}

Image to_rgb(const Image& image) {
  require_channels(image, "to_rgb");
  if (image.channels == 3) return image;
  Image rgb{.height = image.height, .width = image.width, .channels = 3};
  const auto count = static_cast<size_t>(image.height * image.width);
  const auto step = static_cast<size_t>(image.channels);
  const size_t green = step >= 3 ? 1 : 0, blue = step >= 3 ? 2 : 0;
  rgb.pixels.resize(count * 3);
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* from = &image.pixels[i * step];
    rgb.pixels[3 * i] = from[0];
    rgb.pixels[3 * i + 1] = from[green];
    rgb.pixels[3 * i + 2] = from[blue];
  }
  return rgb;
}

Image to_grey(const Image& image) {
  require_channels(image, "to_grey");
  if (image.channels == 1) return image;
  Image grey{.height = image.height, .width = image.width, .channels = 1};
  const auto count = static_cast<size_t>(image.height * image.width);
  const auto step = static_cast<size_t>(image.channels);
  grey.pixels.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* from = &image.pixels[i * step];
    grey.pixels[i] =
        step < 3 ? from[0]
                 : static_cast<uint8_t>(
                       (19595u * from[0] + 38470u * from[1] + 7471u * from[2] + 0x8000u) >> 16);
  }
  return grey;
}

std::vector<std::byte> encode_png(const Image& image) {
  require_channels(image, "encode_png");
  return encode_png_pixels(image);
}

void write_png(const std::string& path, const Image& image) {
  const std::vector<std::byte> bytes = encode_png(image);
  write_file_atomic(path, std::span(bytes));
}

}  // namespace residua
