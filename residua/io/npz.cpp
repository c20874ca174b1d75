#include "residua/io/npz.h"

#include "residua/core/error.h"
#include "residua/io/bytes.h"
#include "residua/io/npy_header.h"
#include "residua/io/zip_archive.h"

namespace residua {

namespace {

TensorData read_array(const TensorInfo& info, const OwnedBytes& file, const NpyHeader& header) {
  return gather_tensor(info, {.storage = {file.owner, file.bytes.subspan(header.size)},
                              .strides = header.fortran_order ? fortran_strides(header.shape)
                                                              : contiguous_strides(header.shape),
                              .swap = header.swap});
}

class NpyFile final : public TensorFile {
 public:
  NpyFile(OwnedBytes file, const std::string& path)
      : TensorFile(path, "npy"),
        file_(std::move(file)),
        header_(parse_npy_header(file_.bytes, file_.bytes.size(), path)) {
    add_tensor({"array", header_.dtype, header_.shape});
  }

  TensorData read(std::string_view name) const override {
    return read_array(tensors()[index(name)], file_, header_);
  }

 private:
  OwnedBytes file_;
  NpyHeader header_;
};

// Arrays of numbers have headers of about a hundred bytes; so much is unpacked to learn their
// shapes.
constexpr size_t kMostNpyHeader = 1 << 16;

class NpzFile final : public TensorFile {
 public:
  NpzFile(OwnedBytes file, const std::string& path)
      : TensorFile(path, "npz"), archive_(std::move(file), path) {
    for (const ZipEntry& entry : archive_.entries()) {
      if (!entry.name.ends_with(".npy"))
        throw Error(ErrorKind::unsupported,
                    {.where = path + ": entry '" + entry.name.substr(0, 200) + "'",
                     .rule = "is no array",
                     .expected = "entries named *.npy"});
      const std::string name = entry.name.substr(0, entry.name.size() - 4);
      const OwnedBytes prefix = archive_.read_prefix(entry, kMostNpyHeader);
      const NpyHeader header =
          parse_npy_header(prefix.bytes, entry.size, path + ": array '" + name + "'");
      add_tensor({name, header.dtype, header.shape});
    }
  }

  TensorData read(std::string_view name) const override {
    const size_t i = index(name);
    const OwnedBytes content = archive_.read(archive_.entries()[i]);
    const std::string where = path() + ": array '" + std::string(name) + "'";
    return read_array(tensors()[i], content,
                      parse_npy_header(content.bytes, content.bytes.size(), where));
  }

 private:
  ZipArchive archive_;
};

}  // namespace

std::unique_ptr<TensorFile> parse_npy(OwnedBytes bytes, const std::string& path) {
  return std::make_unique<NpyFile>(std::move(bytes), path);
}

std::unique_ptr<TensorFile> parse_npz(OwnedBytes bytes, const std::string& path) {
  return std::make_unique<NpzFile>(std::move(bytes), path);
}

std::unique_ptr<TensorFile> open_npy(const std::string& path) {
  return parse_npy(map_file(path), path);
}
std::unique_ptr<TensorFile> open_npz(const std::string& path) {
  return parse_npz(map_file(path), path);
}

}  // namespace residua
