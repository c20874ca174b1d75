#pragma once
// Named tensors in a file, whatever its format.
//
//   auto file = open_tensor_file("resnet50.pth");
//   for (const TensorInfo& info : file->tensors()) use(file->read(info.name));
//
// Readers check every length against the file before they allocate, never execute anything from a
// file, and obey the limits of dtype.h. Opening costs time linear in the header; tensor bytes are
// touched by `read`.

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "residua/io/dtype.h"
#include "residua/io/file.h"

namespace residua {

// What a writer is given; bytes are row-major, contiguous and little-endian, element_size * numel
// of them.
struct TensorView {
  std::string name;
  DType dtype;
  Shape shape;
  std::span<const std::byte> bytes;
};

struct TensorInfo {
  std::string name;
  DType dtype;
  Shape shape;
};

// What a reader gives: row-major, contiguous, little-endian bytes, the first of them aligned to the
// component size. `owner` keeps them alive (a mapping of the file, or a buffer) independently of
// the TensorFile.
struct TensorData {
  TensorInfo info;
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;
};

class TensorFile {
 public:
  virtual ~TensorFile() = default;
  TensorFile(const TensorFile&) = delete;
  TensorFile& operator=(const TensorFile&) = delete;

  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // in the file's order
  bool contains(std::string_view name) const;
  const TensorInfo& info(
      std::string_view name) const;  // ErrorKind::not_found with the nearest names

  // By pointer into the mapped file where the format and its alignment allow, else a copy. Safe to
  // call from several threads at once.
  virtual TensorData read(std::string_view name) const = 0;

  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const std::string& path() const { return path_; }
  const std::string& format() const {
    return format_;
  }  // "safetensors", "pth", "pth-legacy", "npz", "npy"

 protected:
  TensorFile(std::string path, std::string format)
      : path_(std::move(path)), format_(std::move(format)) {}
  void add_tensor(TensorInfo info);  // checks the name; a duplicate is ErrorKind::corrupt_file
  size_t index(std::string_view name) const;  // ErrorKind::not_found with the nearest names

  std::map<std::string, std::string> metadata_;

 private:
  std::string path_;
  std::string format_;
  std::vector<TensorInfo> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

// Opens a file, its format told by its content: safetensors, .pth/.pt/.th (zip, or the older pickle
// sequence), .npz, .npy. Anything else is ErrorKind::unsupported, also the tar form that PyTorch
// wrote before 2017.
std::unique_ptr<TensorFile> open_tensor_file(const std::string& path);

// The same from bytes in memory; `path` only names them in errors.
std::unique_ptr<TensorFile> parse_tensor_file(OwnedBytes bytes, const std::string& path);

}  // namespace residua
