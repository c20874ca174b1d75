#include "residua/io/tensor_file.h"

#include <algorithm>
#include <cstring>

#include "residua/core/error.h"
#include "residua/io/npz.h"
#include "residua/io/pth.h"
#include "residua/io/safetensors.h"
#include "residua/io/zip_archive.h"

namespace residua {

bool TensorFile::contains(std::string_view name) const {
  return index_.contains(std::string(name));
}

const TensorInfo& TensorFile::info(std::string_view name) const { return tensors_[index(name)]; }

size_t TensorFile::index(std::string_view name) const {
  if (const auto found = index_.find(std::string(name)); found != index_.end())
    return found->second;
  std::vector<std::string_view> names;
  for (const TensorInfo& tensor : tensors_) names.push_back(tensor.name);
  throw Error(ErrorKind::not_found, {.where = path_,
                                     .rule = "has no tensor '" + std::string(name) + "'",
                                     .hint = nearest_names_hint(name, names)});
}

void TensorFile::add_tensor(TensorInfo info) {
  check_tensor_name(info.name, path_);
  if (!index_.emplace(info.name, tensors_.size()).second)
    throw Error(ErrorKind::corrupt_file,
                {.where = path_ + ": tensor '" + info.name + "'", .rule = "is named twice"});
  tensors_.push_back(std::move(info));
}

namespace {

bool begins_with(std::span<const std::byte> bytes, std::string_view magic, size_t offset = 0) {
  return bytes.size() >= offset + magic.size() &&
         std::memcmp(bytes.data() + offset, magic.data(), magic.size()) == 0;
}

bool begins_with_pickle(std::span<const std::byte> bytes) {
  return bytes.size() >= 2 && bytes[0] == std::byte{0x80} && bytes[1] >= std::byte{2} &&
         bytes[1] <= std::byte{5};
}

bool holds_pickle(const OwnedBytes& zip, const std::string& path) {
  const ZipArchive archive(zip, path);
  return std::any_of(archive.entries().begin(), archive.entries().end(),
                     [](const ZipEntry& entry) { return entry.name.ends_with("data.pkl"); });
}

// The header of a safetensors file begins after eight bytes of length, with an opening brace.
bool looks_like_safetensors(std::span<const std::byte> bytes) {
  return bytes.size() >= 9 && bytes[8] == std::byte{'{'};
}

}  // namespace

std::unique_ptr<TensorFile> parse_tensor_file(OwnedBytes bytes, const std::string& path) {
  const auto content = bytes.bytes;
  if (begins_with(content, "\x93NUMPY")) return parse_npy(std::move(bytes), path);
  if (begins_with(content, "PK\x03\x04") || begins_with(content, "PK\x05\x06"))
    return holds_pickle(bytes, path) ? parse_pth(std::move(bytes), path)
                                     : parse_npz(std::move(bytes), path);
  // A header length of 0x..80 also begins like a pickle, so the brace is looked at first.
  if (looks_like_safetensors(content)) return parse_safetensors(std::move(bytes), path);
  if (begins_with_pickle(content) || begins_with(content, "ustar", 257))
    return parse_pth(std::move(bytes), path);
  throw Error(
      content.empty() ? ErrorKind::corrupt_file : ErrorKind::unsupported,
      {.where = path,
       .rule = content.empty() ? "is empty" : "is in no format of tensor files that is known",
       .expected = "safetensors, PyTorch .pth, .npz or .npy"});
}

std::unique_ptr<TensorFile> open_tensor_file(const std::string& path) {
  return parse_tensor_file(map_file(path), path);
}

}  // namespace residua
