#include "residua/io/safetensors.h"

#include <algorithm>

#include "residua/core/error.h"
#include "residua/io/bytes.h"
#include "residua/io/safetensors_header.h"

namespace residua {

namespace {

class SafetensorsFile final : public TensorFile {
 public:
  SafetensorsFile(OwnedBytes file, const std::string& path)
      : TensorFile(path, "safetensors"), file_(std::move(file)) {
    const std::span<const std::byte> bytes = file_.bytes;
    if (bytes.size() < 8) corrupt("is too short for the eight bytes of header length");
    const auto length = load_little<uint64_t>(bytes.data());
    if (length > kMaxHeaderBytes)
      throw Error(ErrorKind::limit,
                  {.where = path,
                   .rule = "the header is too long",
                   .expected = "at most " + std::to_string(kMaxHeaderBytes) + " bytes",
                   .received = std::to_string(length)});
    if (length > bytes.size() - 8)
      corrupt("the header of " + std::to_string(length) +
              " bytes reaches beyond the end of the file");
    SafetensorsHeader header =
        parse_safetensors_header({reinterpret_cast<const char*>(bytes.data() + 8), length}, path);
    metadata_ = std::move(header.metadata);
    data_ = bytes.subspan(8 + static_cast<size_t>(length));
    place(std::move(header.tensors));
  }

  TensorData read(std::string_view name) const override {
    const size_t i = index(name);
    return aligned_tensor(tensors()[i], {file_.owner, data_.subspan(begins_[i], sizes_[i])});
  }

 private:
  [[noreturn]] void corrupt(std::string rule) const {
    throw Error(ErrorKind::corrupt_file, {.where = path(), .rule = std::move(rule)});
  }

  // In the order of the data, each tensor must begin where the last one ended.
  void place(std::vector<SafetensorsEntry> entries) {
    std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    uint64_t position = 0;
    for (SafetensorsEntry& entry : entries) {
      const std::string where = path() + ": tensor '" + entry.name + "'";
      const auto refuse = [&](std::string rule) {
        throw Error(ErrorKind::corrupt_file, {.where = where, .rule = std::move(rule)});
      };
      if (entry.begin > entry.end) refuse("its data ends before it begins");
      if (entry.begin < position) refuse("its data overlaps that of another tensor");
      if (entry.begin > position) refuse("a hole lies before its data");
      if (entry.end > data_.size()) refuse("its data reaches beyond the end of the file");
      const auto bytes = static_cast<uint64_t>(checked_bytes(entry.shape, entry.dtype, where));
      if (bytes != entry.end - entry.begin)
        refuse("shape " + to_string(entry.shape) + " of " + std::string(to_string(entry.dtype)) +
               " needs " + std::to_string(bytes) + " bytes, but its data has " +
               std::to_string(entry.end - entry.begin));
      begins_.push_back(static_cast<size_t>(entry.begin));
      sizes_.push_back(static_cast<size_t>(bytes));
      position = entry.end;
      add_tensor({std::move(entry.name), entry.dtype, std::move(entry.shape)});
    }
    if (position != data_.size())
      corrupt("has " + std::to_string(data_.size() - position) + " bytes after the last tensor");
  }

  OwnedBytes file_;
  std::span<const std::byte> data_;
  std::vector<size_t> begins_, sizes_;  // in data_
};

}  // namespace

std::unique_ptr<TensorFile> parse_safetensors(OwnedBytes bytes, const std::string& path) {
  return std::make_unique<SafetensorsFile>(std::move(bytes), path);
}

std::unique_ptr<TensorFile> open_safetensors(const std::string& path) {
  return parse_safetensors(map_file(path), path);
}

}  // namespace residua
