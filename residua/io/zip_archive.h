#pragma once
// Zip archives read in place (internal to io): the central directory, stored and deflated entries,
// zip64. Format: PKWARE APPNOTE 6.3.

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "residua/io/file.h"

namespace residua {

struct ZipEntry {
  std::string name;
  uint64_t begin = 0;        // of the data as stored, in the file
  uint64_t stored_size = 0;  // in the file
  uint64_t size = 0;         // unpacked
  uint32_t crc = 0;
  bool deflated = false;
};

class ZipArchive {
 public:
  // Checks the whole directory: entries lie within the file, do not overlap, and have distinct
  // names. Encrypted and split archives and other compressions are ErrorKind::unsupported.
  ZipArchive(OwnedBytes file, const std::string& path);

  const std::vector<ZipEntry>& entries() const { return entries_; }
  const ZipEntry* find(std::string_view name) const;  // null when absent

  // The content: in place when stored, else unpacked (never beyond the declared size, which itself
  // is bounded by deflate's largest ratio of 1032 to 1). Its checksum is checked unless `checksum`
  // is false.
  OwnedBytes read(const ZipEntry& entry, bool checksum = true) const;

  // The first `most` bytes of the content, or all when it is shorter; nothing is checked beyond
  // them.
  OwnedBytes read_prefix(const ZipEntry& entry, size_t most) const;

  const std::string& path() const { return path_; }

 private:
  void read_directory(uint64_t begin, uint64_t size, uint64_t count);
  size_t read_directory_entry(std::span<const std::byte> record);
  void locate(ZipEntry& entry, uint64_t header) const;
  void check_disjoint() const;
  [[noreturn]] void corrupt(std::string rule) const;

  OwnedBytes file_;
  std::string path_;
  uint64_t directory_begin_ = 0;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace residua
