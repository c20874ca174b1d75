#include "residua/io/gzip.h"

#include "residua/core/error.h"
#include "residua/io/file.h"
#include "residua/io/inflate.h"

namespace residua {

bool is_gzip(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
}

std::vector<std::byte> gunzip(std::span<const std::byte> bytes, std::string_view where,
                              uint64_t limit) {
  if (!is_gzip(bytes))
    throw Error(ErrorKind::corrupt_file, {.where = std::string(where), .rule = "is not gzip data"});
  std::vector<std::byte> content;
  while (!bytes.empty()) {
    if (!is_gzip(bytes))
      throw Error(ErrorKind::corrupt_file, {.where = std::string(where),
                                            .rule = "has bytes after the end of the gzip data"});
    bytes = bytes.subspan(inflate_append(bytes, InflateFormat::gzip, where, limit, content));
  }
  return content;
}

std::vector<std::byte> read_file_maybe_gz(const std::string& path, uint64_t limit) {
  // Incompressible content is a little larger in gzip than plain.
  const uint64_t slack = limit / 1000 + 1024;
  std::vector<std::byte> raw = read_file(path, limit > kNoLimit - slack ? kNoLimit : limit + slack);
  if (is_gzip(raw)) return gunzip(raw, path, limit);
  if (raw.size() > limit)
    throw Error(
        ErrorKind::limit,
        {.where = path, .rule = "is larger than the " + std::to_string(limit) + " bytes allowed"});
  return raw;
}

}  // namespace residua
