#pragma once
// Bounded decompression by zlib (internal to io).

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace residua {

enum class InflateFormat { raw, gzip };

// Decompresses one stream, appending to `content`, which may not grow beyond `limit` bytes
// (ErrorKind::limit); the buffer grows with what was really decompressed. Returns the number of
// input bytes used. Damaged or truncated input is ErrorKind::corrupt_file.
size_t inflate_append(std::span<const std::byte> bytes, InflateFormat format,
                      std::string_view where, uint64_t limit, std::vector<std::byte>& content);

// The first `most` bytes of a raw stream, or fewer when it ends before.
std::vector<std::byte> inflate_prefix(std::span<const std::byte> bytes, std::string_view where,
                                      size_t most);

}  // namespace residua
