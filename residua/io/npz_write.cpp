#include <zlib.h>

#include <unordered_set>

#include "residua/core/error.h"
#include "residua/io/atomic_file.h"
#include "residua/io/bytes.h"
#include "residua/io/npy_header.h"
#include "residua/io/npz.h"

namespace residua {

namespace {

struct WrittenEntry {
  std::string name;
  uint64_t size = 0, header = 0;
  uint32_t crc = 0;
};

constexpr uint16_t kZip64Version = 45, kUtf8Names = 1 << 11;
constexpr uint32_t kFixedDate = 0x00210000;  // 1980-01-01, the first that zip can say; time 0

std::span<const std::byte> as_byte_span(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// The fields that the local header and the directory share, always with 64-bit sizes in an extra
// field.
std::string shared_fields(const WrittenEntry& entry, uint16_t extra_size) {
  std::string fields;
  append_little<uint16_t>(fields, kZip64Version);
  append_little<uint16_t>(fields, kUtf8Names);
  append_little<uint16_t>(fields, 0);  // stored
  append_little<uint32_t>(fields, kFixedDate);
  append_little<uint32_t>(fields, entry.crc);
  append_little<uint32_t>(fields, UINT32_MAX);
  append_little<uint32_t>(fields, UINT32_MAX);
  append_little<uint16_t>(fields, static_cast<uint16_t>(entry.name.size()));
  append_little<uint16_t>(fields, extra_size);
  return fields;
}

std::string local_header(const WrittenEntry& entry) {
  std::string header = "PK\x03\x04" + shared_fields(entry, 20) + entry.name;
  append_little<uint16_t>(header, 1);
  append_little<uint16_t>(header, 16);
  append_little<uint64_t>(header, entry.size);
  append_little<uint64_t>(header, entry.size);
  return header;
}

std::string directory_entry(const WrittenEntry& entry) {
  std::string record = "PK\x01\x02";
  append_little<uint16_t>(record, kZip64Version);
  record += shared_fields(entry, 28);
  append_little<uint16_t>(record, 0);  // comment
  append_little<uint16_t>(record, 0);  // disk
  append_little<uint16_t>(record, 0);  // internal attributes
  append_little<uint32_t>(record, 0);  // external attributes
  append_little<uint32_t>(record, UINT32_MAX);
  record += entry.name;
  append_little<uint16_t>(record, 1);
  append_little<uint16_t>(record, 24);
  append_little<uint64_t>(record, entry.size);
  append_little<uint64_t>(record, entry.size);
  append_little<uint64_t>(record, entry.header);
  return record;
}

std::string end_records(uint64_t count, uint64_t begin, uint64_t size) {
  std::string end = "PK\x06\x06";
  append_little<uint64_t>(end, 44);  // bytes that follow in this record
  append_little<uint16_t>(end, kZip64Version);
  append_little<uint16_t>(end, kZip64Version);
  append_little<uint64_t>(end, 0);  // disks
  append_little<uint64_t>(end, count);
  append_little<uint64_t>(end, count);
  append_little<uint64_t>(end, size);
  append_little<uint64_t>(end, begin);
  end += "PK\x06\x07";
  append_little<uint32_t>(end, 0);
  append_little<uint64_t>(end, begin + size);
  append_little<uint32_t>(end, 1);
  end += "PK\x05\x06";
  append_little<uint32_t>(end, 0);
  append_little<uint16_t>(end, UINT16_MAX);
  append_little<uint16_t>(end, UINT16_MAX);
  append_little<uint32_t>(end, UINT32_MAX);
  append_little<uint32_t>(end, UINT32_MAX);
  append_little<uint16_t>(end, 0);
  return end;
}

uint32_t checksum(uint32_t crc, std::span<const std::byte> bytes) {
  if (bytes.empty()) return crc;  // zlib takes a null pointer as a wish to start anew
  return static_cast<uint32_t>(
      crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

void check_npz_names(const std::string& path, std::span<const TensorView> tensors) {
  std::unordered_set<std::string_view> names;
  for (const TensorView& tensor : tensors) {
    check_tensor_name(tensor.name, path);
    if (!names.insert(tensor.name).second)
      throw Error(ErrorKind::invalid_argument,
                  {.where = path + ": array '" + tensor.name + "'", .rule = "the name is taken"});
  }
}

}  // namespace

void write_npz(const std::string& path, std::span<const TensorView> tensors) {
  check_npz_names(path, tensors);
  AtomicFile file(path);
  std::string directory;
  for (const TensorView& tensor : tensors) {
    const std::string where = path + ": array '" + tensor.name + "'";
    check_view(tensor, where);
    const std::string header = compose_npy_header(tensor.dtype, tensor.shape, where);
    const WrittenEntry entry{.name = tensor.name + ".npy",
                             .size = header.size() + tensor.bytes.size(),
                             .header = file.bytes_written(),
                             .crc = checksum(checksum(0, as_byte_span(header)), tensor.bytes)};
    file.write(local_header(entry) + header);
    file.write(tensor.bytes);
    directory += directory_entry(entry);
  }
  const uint64_t begin = file.bytes_written();
  file.write(directory + end_records(tensors.size(), begin, directory.size()));
  file.commit();
}

void write_npy(const std::string& path, const TensorView& tensor) {
  check_view(tensor, path);
  const std::string header = compose_npy_header(tensor.dtype, tensor.shape, path);
  AtomicFile file(path);
  file.write(header);
  file.write(tensor.bytes);
  file.commit();
}

}  // namespace residua
