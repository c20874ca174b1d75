#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
// jpeglib.h needs size_t and FILE declared before it.
#include <jerror.h>
#include <jpeglib.h>

#include "residua/core/error.h"
#include "residua/io/image_codec.h"

namespace residua {

namespace {

constexpr int kMaxScans = 500;  // progressive files have about ten; thousands only cost time

// As with libpng: failure is a longjmp, so what has a destructor lives here, not in the functions
// with setjmp.
struct JpegReader {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf jump{};
  char error[JMSG_LENGTH_MAX] = {};
  std::string warning;
  bool cut_off = false;
  std::vector<uint8_t> row;

  JpegReader() {
    info.err = jpeg_std_error(&errors);
    info.client_data = this;
    errors.error_exit = on_error;
    errors.emit_message = on_message;
    errors.output_message = [](j_common_ptr) {};
    progress.progress_monitor = on_progress;
  }
  ~JpegReader() { jpeg_destroy_decompress(&info); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  static JpegReader& of(j_common_ptr info) { return *static_cast<JpegReader*>(info->client_data); }

  static void on_error(j_common_ptr info) {
    info->err->format_message(info, of(info).error);
    std::longjmp(of(info).jump, 1);
  }
  static void on_message(j_common_ptr info, int level) {
    if (level >= 0) return;  // a trace, not a warning
    JpegReader& reader = of(info);
    if (info->err->msg_code == JWRN_JPEG_EOF) reader.cut_off = true;
    ++info->err->num_warnings;
    if (!reader.warning.empty()) return;
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    reader.warning = text;
  }
  static void on_progress(j_common_ptr info) {
    JpegReader& reader = of(info);
    if (reader.info.input_scan_number <= kMaxScans) return;
    std::snprintf(reader.error, sizeof reader.error, "more than %d scans", kMaxScans);
    std::longjmp(reader.jump, 1);
  }
};

bool read_jpeg_header(JpegReader& reader, std::span<const std::byte> bytes) {
  if (setjmp(reader.jump) != 0) return false;
  jpeg_create_decompress(&reader.info);
  reader.info.progress = &reader.progress;
  jpeg_mem_src(&reader.info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&reader.info, TRUE);
  const J_COLOR_SPACE stored = reader.info.jpeg_color_space;
  const bool four = stored == JCS_CMYK || stored == JCS_YCCK;
  reader.info.out_color_space = stored == JCS_GRAYSCALE ? JCS_GRAYSCALE : four ? JCS_CMYK : JCS_RGB;
  jpeg_calc_output_dimensions(&reader.info);
  return true;
}

// Adobe stores inks inverted; PIL's formula for the light that is left.
void inks_to_rgb(const uint8_t* from, int64_t count, uint8_t* to) {
  for (int64_t i = 0; i < count; ++i, from += 4, to += 3) {
    const int light = from[3];  // 255 - black
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - from[c]) * light + 128;
      to[c] = static_cast<uint8_t>(std::clamp(light - (((product >> 8) + product) >> 8), 0, 255));
    }
  }
}

// Columns of the decoded band, which starts `skip` pixels left of the wanted ones.
void store_row(const JpegReader& reader, int64_t skip, int64_t width, uint8_t* to) {
  const int components = reader.info.output_components;
  const uint8_t* from = reader.row.data() + skip * components;
  if (components == 4) {
    inks_to_rgb(from, width, to);
  } else {
    std::memcpy(to, from, static_cast<size_t>(width * components));
  }
}

// Decodes the rows of `box` into `pixels`. The band is one MCU wider on both sides than needed, so
// that the smoothing of chroma sees the same neighbours as in a full decode.
bool read_jpeg_rows(JpegReader& reader, const CropBox& box, int64_t channels, uint8_t* pixels) {
  if (setjmp(reader.jump) != 0) return false;
  jpeg_decompress_struct& info = reader.info;
  jpeg_start_decompress(&info);
  JDIMENSION begin = 0;
  if (box.width < static_cast<int64_t>(info.output_width)) {
    const int64_t mcu = info.max_h_samp_factor * DCTSIZE;
    const int64_t left = std::max<int64_t>(box.left - mcu, 0);
    const int64_t right = std::min<int64_t>(box.left + box.width + mcu, info.output_width);
    begin = static_cast<JDIMENSION>(left);
    auto width = static_cast<JDIMENSION>(right - left);
    jpeg_crop_scanline(&info, &begin, &width);
  }
  if (box.top > 0) jpeg_skip_scanlines(&info, static_cast<JDIMENSION>(box.top));
  for (int64_t row = 0; row < box.height; ++row) {
    JSAMPROW into = reader.row.data();
    if (jpeg_read_scanlines(&info, &into, 1) != 1) return false;
    store_row(reader, box.left - begin, box.width, pixels + row * box.width * channels);
  }
  return true;
}

[[noreturn]] void damaged_jpeg(const JpegReader& reader, std::string_view where) {
  throw Error(
      ErrorKind::corrupt_file,
      {.where = std::string(where), .rule = std::string("the JPEG is damaged: ") + reader.error});
}

ImageSize checked_jpeg_size(JpegReader& reader, std::span<const std::byte> bytes,
                            std::string_view where) {
  if (!read_jpeg_header(reader, bytes)) damaged_jpeg(reader, where);
  const ImageSize size{.height = reader.info.output_height,
                       .width = reader.info.output_width,
                       .channels = reader.info.out_color_space == JCS_GRAYSCALE ? 1 : 3};
  check_pixels(size.height, size.width, where);
  return size;
}

Image decode_jpeg_box(std::span<const std::byte> bytes, const CropBox* box,
                      std::string_view where) {
  JpegReader reader;
  const ImageSize size = checked_jpeg_size(reader, bytes, where);
  const CropBox all{0, 0, size.height, size.width};
  const CropBox& wanted = box == nullptr ? all : *box;
  check_box(wanted, size.height, size.width, where);
  // Each block of 64 samples takes at least one bit, except in arithmetic coding.
  if (!reader.info.arith_code && static_cast<size_t>(size.height * size.width) / 512 > bytes.size())
    throw Error(ErrorKind::corrupt_file,
                {.where = std::string(where), .rule = "the JPEG is too short for its size"});
  Image image{.height = wanted.height, .width = wanted.width, .channels = size.channels};
  image.pixels.resize(static_cast<size_t>(wanted.height * wanted.width * size.channels));
  reader.row.resize(static_cast<size_t>(size.width) * 4);
  const bool whole = read_jpeg_rows(reader, wanted, size.channels, image.pixels.data());
  if (!whole) damaged_jpeg(reader, where);
  if (reader.cut_off)
    throw Error(ErrorKind::corrupt_file,
                {.where = std::string(where), .rule = "the JPEG is cut off"});
  image.warning = std::move(reader.warning);
  return image;
}

}  // namespace

ImageSize jpeg_size(std::span<const std::byte> bytes, std::string_view where) {
  JpegReader reader;
  return checked_jpeg_size(reader, bytes, where);
}

Image decode_jpeg(std::span<const std::byte> bytes, std::string_view where) {
  return decode_jpeg_box(bytes, nullptr, where);
}

Image decode_jpeg_crop(std::span<const std::byte> bytes, const CropBox& box,
                       std::string_view where) {
  return decode_jpeg_box(bytes, &box, where);
}

}  // namespace residua
