#include "residua/io/zip_archive.h"

#include <zlib.h>

#include <algorithm>

#include "residua/core/error.h"
#include "residua/io/bytes.h"
#include "residua/io/inflate.h"

namespace residua {

namespace {

constexpr uint32_t kLocalHeader = 0x04034b50, kDirectoryEntry = 0x02014b50, kEnd = 0x06054b50,
                   kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50;
constexpr size_t kLocalHeaderSize = 30, kDirectoryEntrySize = 46, kEndSize = 22, kEnd64Size = 56,
                 kEnd64LocatorSize = 20;
constexpr uint16_t kEncrypted = 1, kStored = 0, kDeflated = 8;

uint16_t u16(std::span<const std::byte> bytes, size_t at) {
  return load_little<uint16_t>(&bytes[at]);
}
uint32_t u32(std::span<const std::byte> bytes, size_t at) {
  return load_little<uint32_t>(&bytes[at]);
}
uint64_t u64(std::span<const std::byte> bytes, size_t at) {
  return load_little<uint64_t>(&bytes[at]);
}

// The end record lies before a comment of at most 65,535 bytes that reaches to the end of the file.
// npos when there is none.
size_t find_end_record(std::span<const std::byte> file) {
  if (file.size() < kEndSize) return std::string::npos;
  const size_t last = file.size() - kEndSize;
  for (size_t back = 0; back <= std::min<size_t>(last, 0xFFFF); ++back)
    if (u32(file, last - back) == kEnd && u16(file, last - back + 20) == back) return last - back;
  return std::string::npos;
}

// The zip64 extra field holds, in this order, those of the three numbers whose 32-bit form is all
// ones.
bool widen(std::span<const std::byte> extra, uint64_t& size, uint64_t& stored_size,
           uint64_t& header) {
  uint64_t* const wanted[] = {&size, &stored_size, &header};
  const bool any =
      std::any_of(std::begin(wanted), std::end(wanted), [](auto* n) { return *n == UINT32_MAX; });
  if (!any) return true;
  while (extra.size() >= 4) {
    const size_t length = u16(extra, 2);
    if (length > extra.size() - 4) return false;
    if (u16(extra, 0) == 1) {
      std::span<const std::byte> field = extra.subspan(4, length);
      for (uint64_t* number : wanted) {
        if (*number != UINT32_MAX) continue;
        if (field.size() < 8) return false;
        *number = u64(field, 0);
        field = field.subspan(8);
      }
      return true;
    }
    extra = extra.subspan(4 + length);
  }
  return false;
}

}  // namespace

ZipArchive::ZipArchive(OwnedBytes file, const std::string& path)
    : file_(std::move(file)), path_(path) {
  const std::span<const std::byte> bytes = file_.bytes;
  const size_t end = find_end_record(bytes);
  if (end == std::string::npos) corrupt("has no zip directory; the file may be cut off");
  if (u16(bytes, end + 4) != 0 || u16(bytes, end + 6) != 0)
    throw Error(ErrorKind::unsupported,
                {.where = path, .rule = "is one part of a split zip archive"});
  uint64_t count = u16(bytes, end + 10), size = u32(bytes, end + 12), begin = u32(bytes, end + 16);
  size_t directory_limit = end;
  const bool has_locator =
      end >= kEnd64LocatorSize && u32(bytes, end - kEnd64LocatorSize) == kEnd64Locator;
  if (has_locator) {
    const uint64_t end64 = u64(bytes, end - kEnd64LocatorSize + 8);
    if (end64 > end - kEnd64LocatorSize || end - kEnd64LocatorSize - end64 < kEnd64Size ||
        u32(bytes, end64) != kEnd64)
      corrupt("the zip64 directory is not where it is said to be");
    count = u64(bytes, end64 + 32);
    size = u64(bytes, end64 + 40);
    begin = u64(bytes, end64 + 48);
    directory_limit = end64;
  }
  if (begin > directory_limit || size > directory_limit - begin)
    corrupt("the zip directory reaches beyond the end of the file");
  if (size > kMaxHeaderBytes)
    throw Error(ErrorKind::limit, {.where = path, .rule = "the zip directory exceeds 100 MB"});
  read_directory(begin, size, count);
}

void ZipArchive::corrupt(std::string rule) const {
  throw Error(ErrorKind::corrupt_file, {.where = path_, .rule = std::move(rule)});
}

void ZipArchive::read_directory(uint64_t begin, uint64_t size, uint64_t count) {
  if (count > size / kDirectoryEntrySize) corrupt("the zip directory is too short for its entries");
  directory_begin_ = begin;
  std::span<const std::byte> records = file_.bytes.subspan(begin, size);
  entries_.reserve(count);
  for (uint64_t i = 0; i < count; ++i) records = records.subspan(read_directory_entry(records));
  if (!records.empty()) corrupt("has bytes after the last entry of the zip directory");
  check_disjoint();
}

size_t ZipArchive::read_directory_entry(std::span<const std::byte> record) {
  if (record.size() < kDirectoryEntrySize || u32(record, 0) != kDirectoryEntry)
    corrupt("the zip directory is damaged");
  const size_t name_size = u16(record, 28), extra_size = u16(record, 30),
               comment_size = u16(record, 32);
  const size_t total = kDirectoryEntrySize + name_size + extra_size + comment_size;
  if (total > record.size()) corrupt("the zip directory is damaged");
  ZipEntry entry;
  entry.name.assign(reinterpret_cast<const char*>(&record[0]) + kDirectoryEntrySize, name_size);
  const std::string where = path_ + ": entry '" + entry.name.substr(0, 200) + "'";
  if ((u16(record, 8) & kEncrypted) != 0)
    throw Error(ErrorKind::unsupported, {.where = where, .rule = "is encrypted"});
  const uint16_t method = u16(record, 10);
  if (method != kStored && method != kDeflated)
    throw Error(ErrorKind::unsupported,
                {.where = where,
                 .rule = "uses compression method " + std::to_string(method),
                 .expected = "stored or deflated"});
  entry.deflated = method == kDeflated;
  entry.crc = u32(record, 16);
  entry.stored_size = u32(record, 20);
  entry.size = u32(record, 24);
  uint64_t header = u32(record, 42);
  if (!widen(record.subspan(kDirectoryEntrySize + name_size, extra_size), entry.size,
             entry.stored_size, header))
    throw Error(ErrorKind::corrupt_file, {.where = where, .rule = "its zip64 sizes are damaged"});
  locate(entry, header);
  if (!index_.emplace(entry.name, entries_.size()).second)
    throw Error(ErrorKind::corrupt_file, {.where = where, .rule = "is there twice"});
  entries_.push_back(std::move(entry));
  return total;
}

void ZipArchive::locate(ZipEntry& entry, uint64_t header) const {
  const auto refuse = [&](std::string rule) {
    throw Error(
        ErrorKind::corrupt_file,
        {.where = path_ + ": entry '" + entry.name.substr(0, 200) + "'", .rule = std::move(rule)});
  };
  if (header > directory_begin_ || directory_begin_ - header < kLocalHeaderSize ||
      u32(file_.bytes, header) != kLocalHeader)
    refuse("its zip header is not where the directory says");
  const uint64_t skip =
      kLocalHeaderSize + u16(file_.bytes, header + 26) + u16(file_.bytes, header + 28);
  if (skip > directory_begin_ - header || entry.stored_size > directory_begin_ - header - skip)
    refuse("its data reaches beyond the end of the file");
  entry.begin = header + skip;
  if (!entry.deflated && entry.size != entry.stored_size)
    refuse("is stored with two different sizes");
  // Deflate's best case is 258 bytes for two bits.
  if (entry.deflated && entry.size / 1032 > entry.stored_size)
    throw Error(ErrorKind::limit, {.where = path_ + ": entry '" + entry.name.substr(0, 200) + "'",
                                   .rule = "declares more bytes than its compressed data can hold",
                                   .received = std::to_string(entry.size) + " from " +
                                               std::to_string(entry.stored_size)});
}

// Overlapping entries would let a small file unpack to a huge one.
void ZipArchive::check_disjoint() const {
  std::vector<const ZipEntry*> order;
  for (const ZipEntry& entry : entries_) order.push_back(&entry);
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return a->begin < b->begin; });
  for (size_t i = 1; i < order.size(); ++i)
    if (order[i - 1]->begin + order[i - 1]->stored_size > order[i]->begin)
      corrupt("the zip entries '" + order[i - 1]->name.substr(0, 80) + "' and '" +
              order[i]->name.substr(0, 80) + "' overlap");
}

const ZipEntry* ZipArchive::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &entries_[found->second];
}

OwnedBytes ZipArchive::read(const ZipEntry& entry, bool checksum) const {
  const std::string where = path_ + ": entry '" + entry.name.substr(0, 200) + "'";
  const auto stored = file_.bytes.subspan(entry.begin, entry.stored_size);
  OwnedBytes content{file_.owner, stored};
  if (entry.deflated) {
    std::vector<std::byte> unpacked;
    inflate_append(stored, InflateFormat::raw, where, entry.size, unpacked);
    if (unpacked.size() != entry.size)
      throw Error(ErrorKind::corrupt_file,
                  {.where = where, .rule = "unpacks to fewer bytes than it declares"});
    content = own_bytes(std::move(unpacked));
  }
  if (checksum) {
    const auto crc =
        crc32_z(0, reinterpret_cast<const Bytef*>(content.bytes.data()), content.bytes.size());
    if (crc != entry.crc)
      throw Error(ErrorKind::corrupt_file,
                  {.where = where, .rule = "its checksum is wrong; the data is damaged"});
  }
  return content;
}

OwnedBytes ZipArchive::read_prefix(const ZipEntry& entry, size_t most) const {
  const auto stored = file_.bytes.subspan(entry.begin, entry.stored_size);
  most = static_cast<size_t>(std::min<uint64_t>(most, entry.size));
  if (!entry.deflated) return {file_.owner, stored.first(most)};
  return own_bytes(
      inflate_prefix(stored, path_ + ": entry '" + entry.name.substr(0, 200) + "'", most));
}

}  // namespace residua
