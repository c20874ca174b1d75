#pragma once
// gzip (RFC 1952) with a bound on what may come out.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace residua {

bool is_gzip(std::span<const std::byte> bytes);  // by the two magic bytes

// Decompresses one or several concatenated members. More than `limit` bytes is ErrorKind::limit; a
// damaged or truncated stream, or bytes after it, is ErrorKind::corrupt_file. `where` names the
// source.
std::vector<std::byte> gunzip(std::span<const std::byte> bytes, std::string_view where,
                              uint64_t limit);

// The content of `path`, decompressed when it is gzip (told by its bytes, not by its name); at most
// `limit` bytes.
std::vector<std::byte> read_file_maybe_gz(const std::string& path, uint64_t limit);

}  // namespace residua
