#include "residua/io/inflate.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <string>

#include "residua/core/error.h"

namespace residua {

namespace {

class InflateStream {
 public:
  explicit InflateStream(InflateFormat format) {
    // zlib's window bits: negative for a raw stream, +16 for gzip only.
    const int window = format == InflateFormat::raw ? -MAX_WBITS : MAX_WBITS + 16;
    if (inflateInit2(&stream, window) != Z_OK)
      throw Error(ErrorKind::internal, {.where = "inflate", .rule = "zlib could not start"});
  }
  ~InflateStream() { inflateEnd(&stream); }
  InflateStream(const InflateStream&) = delete;
  InflateStream& operator=(const InflateStream&) = delete;

  z_stream stream{};
};

constexpr size_t kMaxStep = 1 << 26;  // zlib counts in 32 bits

}  // namespace

size_t inflate_append(std::span<const std::byte> bytes, InflateFormat format,
                      std::string_view where, uint64_t limit, std::vector<std::byte>& content) {
  InflateStream inflater(format);
  z_stream& stream = inflater.stream;
  const auto refuse = [&](ErrorKind kind, std::string rule) {
    throw Error(kind, {.where = std::string(where), .rule = std::move(rule)});
  };
  size_t used = 0, size = content.size();
  for (;;) {
    if (size == content.size()) {
      // One byte beyond the limit is allowed into the buffer, to tell "exactly full" from "too
      // much".
      if (size > limit)
        refuse(ErrorKind::limit, "unpacks to more than " + std::to_string(limit) + " bytes");
      const uint64_t grown = std::clamp<uint64_t>(size, 1 << 14, kMaxStep) + size;
      content.resize(static_cast<size_t>(limit == std::numeric_limits<uint64_t>::max()
                                             ? grown
                                             : std::min<uint64_t>(grown, limit + 1)));
    }
    const size_t in = std::min(bytes.size() - used, kMaxStep);
    const size_t out = std::min(content.size() - size, kMaxStep);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data() + used));
    stream.avail_in = static_cast<uInt>(in);
    stream.next_out = reinterpret_cast<Bytef*>(content.data() + size);
    stream.avail_out = static_cast<uInt>(out);
    const int code = ::inflate(&stream, Z_NO_FLUSH);
    used += in - stream.avail_in;
    size += out - stream.avail_out;
    if (code == Z_STREAM_END) break;
    if (code != Z_OK && code != Z_BUF_ERROR)
      refuse(ErrorKind::corrupt_file, "compressed data is damaged");
    if (stream.avail_in == 0 && used == bytes.size() && stream.avail_out > 0)
      refuse(ErrorKind::corrupt_file, "compressed data ends too early");
  }
  if (size > limit)
    refuse(ErrorKind::limit, "unpacks to more than " + std::to_string(limit) + " bytes");
  content.resize(size);
  return used;
}

std::vector<std::byte> inflate_prefix(std::span<const std::byte> bytes, std::string_view where,
                                      size_t most) {
  InflateStream inflater(InflateFormat::raw);
  z_stream& stream = inflater.stream;
  std::vector<std::byte> content(std::min(most, kMaxStep));
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(std::min(bytes.size(), kMaxStep));
  stream.next_out = reinterpret_cast<Bytef*>(content.data());
  stream.avail_out = static_cast<uInt>(content.size());
  const int code = ::inflate(&stream, Z_SYNC_FLUSH);
  if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
    throw Error(ErrorKind::corrupt_file,
                {.where = std::string(where), .rule = "compressed data is damaged"});
  content.resize(content.size() - stream.avail_out);
  return content;
}

}  // namespace residua
