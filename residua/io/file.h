#pragma once
// Reading whole files: mapped into memory, or copied into a buffer.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace residua {

// Bytes together with whatever keeps them alive (a mapping, a buffer).
struct OwnedBytes {
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;
};

// A read-only mapping of a file for as long as the object lives.
// Throws ErrorKind::not_found or io; a folder is refused. An empty file maps to an empty span.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::span<const std::byte> bytes_;
};

OwnedBytes map_file(const std::string& path);

// Whole pages of mapped files among these bytes leave the memory until they are read again; other
// memory stays as it is. For weights that were copied into another order.
void release_pages(std::span<const std::byte> bytes);
OwnedBytes own_bytes(std::vector<std::byte> bytes);

inline constexpr uint64_t kNoLimit = UINT64_MAX;

// The content of a file (regular or a pipe) of at most `limit` bytes; more is ErrorKind::limit.
std::vector<std::byte> read_file(const std::string& path, uint64_t limit = kNoLimit);

}  // namespace residua
