#pragma once
// The codecs behind image.h (internal to io).

#include "residua/io/image.h"

namespace residua {

Image decode_jpeg(std::span<const std::byte> bytes, std::string_view where);
Image decode_png(std::span<const std::byte> bytes, std::string_view where);
ImageSize jpeg_size(std::span<const std::byte> bytes, std::string_view where);
ImageSize png_size(std::span<const std::byte> bytes, std::string_view where);
std::vector<std::byte> encode_png_pixels(const Image& image);

void check_pixels(int64_t height, int64_t width, std::string_view where);
void check_box(const CropBox& box, int64_t height, int64_t width, std::string_view where);

}  // namespace residua
