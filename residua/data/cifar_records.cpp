#include <fmt/format.h>

#include "residua/core/error.h"
#include "residua/data/cifar.h"

namespace residua {

namespace {

constexpr size_t kCifarPlane = 32 * 32, kCifarChannels = 3;

void append_channels_last(std::span<const std::byte> planes, std::vector<uint8_t>& pixels) {
  const size_t start = pixels.size();
  pixels.resize(start + kCifarPlane * kCifarChannels);
  uint8_t* out = pixels.data() + start;
  for (size_t i = 0; i < kCifarPlane; ++i)
    for (size_t c = 0; c < kCifarChannels; ++c)
      out[i * kCifarChannels + c] = std::to_integer<uint8_t>(planes[c * kCifarPlane + i]);
}

}  // namespace

int64_t append_cifar_records(std::span<const std::byte> bytes, int64_t label_bytes,
                             int64_t label_at, int64_t classes, std::string_view where,
                             std::vector<uint8_t>& pixels, std::vector<int64_t>& labels) {
  const size_t record = static_cast<size_t>(label_bytes) + kCifarPlane * kCifarChannels;
  const size_t count = bytes.size() / record;
  if (bytes.size() % record != 0 || count == 0)
    throw Error(
        ErrorKind::corrupt_file,
        {.where = std::string(where),
         .rule = count == 0 ? "holds no complete CIFAR record" : "is truncated within a record",
         .expected =
             fmt::format("a multiple of {} bytes, such as {}", record, (count + 1) * record),
         .received = fmt::format("{} bytes", bytes.size())});
  pixels.reserve(pixels.size() + count * kCifarPlane * kCifarChannels);
  for (size_t i = 0; i < count; ++i) {
    const auto one = bytes.subspan(i * record, record);
    const auto label = std::to_integer<int64_t>(one[static_cast<size_t>(label_at)]);
    if (label >= classes)
      throw Error(ErrorKind::corrupt_file, {.where = fmt::format("record {} of {}", i, where),
                                            .rule = "the label is out of range",
                                            .expected = fmt::format("0 to {}", classes - 1),
                                            .received = std::to_string(label)});
    append_channels_last(one.subspan(static_cast<size_t>(label_bytes)), pixels);
    labels.push_back(label);
  }
  return static_cast<int64_t>(count);
}

}  // namespace residua
