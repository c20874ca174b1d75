#include "residua/data/idx.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "residua/core/error.h"

namespace residua {

namespace {

constexpr uint32_t kUnsignedBytes = 0x08;  // third byte of the magic number

uint32_t big_endian(std::span<const std::byte> bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | std::to_integer<uint32_t>(bytes[at + i]);
  return value;
}

[[noreturn]] void bad_idx(std::string_view where, std::string rule, std::string expected,
                          std::string received) {
  throw Error(ErrorKind::corrupt_file, {.where = std::string(where),
                                        .rule = std::move(rule),
                                        .expected = std::move(expected),
                                        .received = std::move(received)});
}

}  // namespace

IdxArray parse_idx(std::span<const std::byte> bytes, int rank, std::string_view where) {
  const size_t header = 4 + 4 * static_cast<size_t>(rank);
  if (bytes.size() < header)
    bad_idx(where, "is too short for an IDX header", fmt::format("at least {} bytes", header),
            fmt::format("{} bytes", bytes.size()));
  const uint32_t magic = big_endian(bytes, 0),
                 right = kUnsignedBytes << 8 | static_cast<uint32_t>(rank);
  if (magic != right)
    bad_idx(where, "is not an IDX file of this kind", fmt::format("magic number {:#010x}", right),
            fmt::format("{:#010x}", magic));

  IdxArray array;
  uint64_t total = 1;
  const uint64_t available = bytes.size() - header;
  for (int axis = 0; axis < rank; ++axis) {
    const uint64_t extent = big_endian(bytes, 4 + 4 * static_cast<size_t>(axis));
    array.shape.push_back(static_cast<int64_t>(extent));
    if (extent == 0)
      bad_idx(where, "has a size of zero in its header", "sizes of at least 1",
              fmt::format("{}", fmt::join(array.shape, " x ")));
    // Stops short of overflow: each factor is below 2^32, and the product so far is below 2^40.
    total *= extent;
    if (total > uint64_t{1} << 40) break;
  }
  if (total != available) {
    const bool cut = total > available;
    bad_idx(where, cut ? "is truncated" : "is longer than its header announces",
            fmt::format("{} bytes after the header ({})", total, fmt::join(array.shape, " x ")),
            fmt::format("{} bytes", available));
  }
  array.values = bytes.subspan(header);
  return array;
}

IdxImages parse_idx_images(std::span<const std::byte> images, std::string_view images_where,
                           std::span<const std::byte> labels, std::string_view labels_where) {
  const IdxArray image_array = parse_idx(images, 3, images_where);
  const IdxArray label_array = parse_idx(labels, 1, labels_where);
  if (image_array.shape[0] != label_array.shape[0])
    bad_idx(labels_where, "has another number of labels than there are images",
            fmt::format("{} as in {}", image_array.shape[0], images_where),
            std::to_string(label_array.shape[0]));
  IdxImages result{
      .count = image_array.shape[0], .height = image_array.shape[1], .width = image_array.shape[2]};
  result.pixels.resize(image_array.values.size());
  std::memcpy(result.pixels.data(), image_array.values.data(), result.pixels.size());
  result.labels.reserve(label_array.values.size());
  for (const std::byte label : label_array.values)
    result.labels.push_back(std::to_integer<int64_t>(label));
  return result;
}

}  // namespace residua
