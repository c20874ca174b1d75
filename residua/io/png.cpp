#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>

#include "residua/core/error.h"
#include "residua/io/image_codec.h"

namespace residua {

namespace {

// libpng reports failure by longjmp, which must not cross live C++ objects: everything with a
// destructor lives in this context, and the functions that call setjmp have only plain locals.
struct PngReader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::byte> rest;
  std::string error, warning;
  std::vector<png_bytep> rows;
  size_t packed_row_bytes = 0;  // before small samples are expanded

  explicit PngReader(std::span<const std::byte> bytes) : rest(bytes) {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png != nullptr) info = png_create_info_struct(png);
    if (info == nullptr) {
      png_destroy_read_struct(&png, nullptr, nullptr);
      throw Error(ErrorKind::internal, {.where = "png", .rule = "libpng could not start"});
    }
    png_set_read_fn(png, this, read_bytes);
    png_set_user_limits(png, 0x7fffffff, 0x7fffffff);  // the product is checked by check_pixels
    png_set_chunk_malloc_max(png, 1 << 24);
  }
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  static void read_bytes(png_structp png, png_bytep to, size_t size) {
    auto* reader = static_cast<PngReader*>(png_get_io_ptr(png));
    if (size > reader->rest.size()) png_error(png, "the file is cut off");
    std::memcpy(to, reader->rest.data(), size);
    reader->rest = reader->rest.subspan(size);
  }
  static void on_error(png_structp png, png_const_charp text) {
    static_cast<PngReader*>(png_get_error_ptr(png))->error = text;
    png_longjmp(png, 1);
  }
  static void on_warning(png_structp png, png_const_charp text) {
    auto* reader = static_cast<PngReader*>(png_get_error_ptr(png));
    if (reader->warning.empty()) reader->warning = text;
  }
};

bool read_png_header(PngReader& reader) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_read_info(reader.png, reader.info);
  reader.packed_row_bytes = png_get_rowbytes(reader.png, reader.info);
  // Palette to RGB, small grey to 8 bits, a transparent colour to alpha.
  png_set_expand(reader.png);
  png_set_strip_16(reader.png);
  png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
  return true;
}

bool read_png_rows(PngReader& reader) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_read_image(reader.png, reader.rows.data());
  png_read_end(reader.png, nullptr);
  return true;
}

[[noreturn]] void damaged_png(const PngReader& reader, std::string_view where) {
  throw Error(ErrorKind::corrupt_file,
              {.where = std::string(where), .rule = "the PNG is damaged: " + reader.error});
}

ImageSize checked_png_size(PngReader& reader, std::string_view where) {
  if (!read_png_header(reader)) damaged_png(reader, where);
  const ImageSize size{.height = png_get_image_height(reader.png, reader.info),
                       .width = png_get_image_width(reader.png, reader.info),
                       .channels = png_get_channels(reader.png, reader.info)};
  check_pixels(size.height, size.width, where);
  return size;
}

struct PngWriter {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::string error;
  std::vector<std::byte> content;

  PngWriter() {
    png = png_create_write_struct(PNG_LIBPNG_VER_STRING, this, on_error,
                                  [](png_structp, png_const_charp) {});
    if (png != nullptr) info = png_create_info_struct(png);
    if (info == nullptr) {
      png_destroy_write_struct(&png, nullptr);
      throw Error(ErrorKind::internal, {.where = "png", .rule = "libpng could not start"});
    }
    png_set_write_fn(png, this, append, [](png_structp) {});
  }
  ~PngWriter() { png_destroy_write_struct(&png, &info); }
  PngWriter(const PngWriter&) = delete;
  PngWriter& operator=(const PngWriter&) = delete;

  static void append(png_structp png, png_bytep bytes, size_t size) {
    auto& content = static_cast<PngWriter*>(png_get_io_ptr(png))->content;
    const auto* begin = reinterpret_cast<const std::byte*>(bytes);
    content.insert(content.end(), begin, begin + size);
  }
  static void on_error(png_structp png, png_const_charp text) {
    static_cast<PngWriter*>(png_get_error_ptr(png))->error = text;
    png_longjmp(png, 1);
  }
};

bool write_png_rows(PngWriter& writer, const Image& image) {
  if (setjmp(png_jmpbuf(writer.png)) != 0) return false;
  constexpr int kColours[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                              PNG_COLOR_TYPE_RGB_ALPHA};
  png_set_IHDR(writer.png, writer.info, static_cast<png_uint_32>(image.width),
               static_cast<png_uint_32>(image.height), 8, kColours[image.channels - 1],
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(writer.png, writer.info);
  for (int64_t row = 0; row < image.height; ++row)
    png_write_row(writer.png, image.pixels.data() + row * image.width * image.channels);
  png_write_end(writer.png, writer.info);
  return true;
}

}  // namespace

ImageSize png_size(std::span<const std::byte> bytes, std::string_view where) {
  PngReader reader(bytes);
  return checked_png_size(reader, where);
}

Image decode_png(std::span<const std::byte> bytes, std::string_view where) {
  PngReader reader(bytes);
  const ImageSize size = checked_png_size(reader, where);
  Image image{.height = size.height, .width = size.width, .channels = size.channels};
  const size_t row_bytes = png_get_rowbytes(reader.png, reader.info);
  const size_t total = row_bytes * static_cast<size_t>(size.height);
  // Deflate's best ratio is 1032: more rows cannot be in the file.
  if (reader.packed_row_bytes * static_cast<size_t>(size.height) / 1032 > bytes.size())
    throw Error(ErrorKind::corrupt_file,
                {.where = std::string(where), .rule = "the PNG is too short for its size"});
  image.pixels.resize(total);
  for (int64_t row = 0; row < size.height; ++row)
    reader.rows.push_back(image.pixels.data() + static_cast<size_t>(row) * row_bytes);
  if (!read_png_rows(reader)) damaged_png(reader, where);
  image.warning = std::move(reader.warning);
  return image;
}

std::vector<std::byte> encode_png_pixels(const Image& image) {
  PngWriter writer;
  if (!write_png_rows(writer, image))
    throw Error(ErrorKind::internal,
                {.where = "png", .rule = "libpng refused to write: " + writer.error});
  return std::move(writer.content);
}

}  // namespace residua
