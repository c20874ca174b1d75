#include <deque>
#include <mutex>

#include "residua/core/error.h"
#include "residua/io/pth_storages.h"
#include "residua/io/zip_archive.h"

namespace residua {

namespace {

// NAME/data.pkl holds the object, NAME/data/KEY the storages, NAME/byteorder their byte order
// (since 2.1).
class PthZipStorages final : public PthStorages {
 public:
  PthZipStorages(OwnedBytes file, const std::string& path) : archive_(std::move(file), path) {
    const ZipEntry* pickle = find_pickle();
    prefix_ = pickle->name.substr(0, pickle->name.size() - std::string_view("data.pkl").size());
    if (archive_.find(prefix_ + "constants.pkl") != nullptr)
      throw Error(ErrorKind::unsupported,
                  {.where = path,
                   .rule = "is a TorchScript program",
                   .expected = "a state dict",
                   .hint = "in Python: torch.save(torch.jit.load(path).state_dict(), other_path)"});
    if (pickle->size > kMaxHeaderBytes)
      throw Error(ErrorKind::limit, {.where = path, .rule = "the pickle exceeds 100 MB"});
    pickled_ = archive_.read(*pickle);
    read_byte_order();
    loaded_.resize(archive_.entries().size());
  }

  const OwnedBytes& pickled() const { return pickled_; }

  size_t find(const PickleStorage& storage, const std::string& where) const override {
    const std::string name = prefix_ + "data/" + std::string(storage.key.substr(0, kMaxNameBytes));
    const ZipEntry* entry = archive_.find(name);
    if (entry == nullptr)
      throw Error(ErrorKind::corrupt_file,
                  {.where = where, .rule = "its storage '" + name + "' is not in the file"});
    const auto needed = static_cast<uint64_t>(storage.elements * storage.element_size());
    if (entry->size != needed)
      throw Error(ErrorKind::corrupt_file,
                  {.where = where,
                   .rule = "its storage has another size than the pickle says",
                   .expected = std::to_string(needed) + " bytes",
                   .received = std::to_string(entry->size)});
    return static_cast<size_t>(entry - archive_.entries().data());
  }

  // Unpacked and checked once, however many tensors share it.
  OwnedBytes read(size_t place) const override {
    Loaded& loaded = loaded_[place];
    std::call_once(loaded.once, [&] { loaded.content = archive_.read(archive_.entries()[place]); });
    return loaded.content;
  }

  bool swapped() const override { return swapped_; }

 private:
  struct Loaded {
    std::once_flag once;
    OwnedBytes content;
  };

  const ZipEntry* find_pickle() const {
    const ZipEntry* found = nullptr;
    for (const ZipEntry& entry : archive_.entries()) {
      const bool pickle =
          entry.name == "data.pkl" ||
          (entry.name.ends_with("/data.pkl") && entry.name.find('/') == entry.name.rfind('/'));
      if (!pickle) continue;
      if (found != nullptr)
        throw Error(ErrorKind::corrupt_file,
                    {.where = archive_.path(), .rule = "has two entries data.pkl"});
      found = &entry;
    }
    if (found == nullptr)
      throw Error(ErrorKind::corrupt_file, {.where = archive_.path(),
                                            .rule = "is a zip archive without data.pkl",
                                            .expected = "a PyTorch file"});
    return found;
  }

  void read_byte_order() {
    const ZipEntry* entry = archive_.find(prefix_ + "byteorder");
    if (entry == nullptr) return;
    const OwnedBytes content = archive_.read_prefix(*entry, 16);
    const std::string_view order(reinterpret_cast<const char*>(content.bytes.data()),
                                 content.bytes.size());
    if (order != "little" && order != "big")
      throw Error(
          ErrorKind::corrupt_file,
          {.where = archive_.path(), .rule = "its record 'byteorder' is neither little nor big"});
    swapped_ = order == "big";
  }

  ZipArchive archive_;
  std::string prefix_;
  OwnedBytes pickled_;
  bool swapped_ = false;
  mutable std::deque<Loaded> loaded_;
};

}  // namespace

std::unique_ptr<PthStorages> open_pth_zip(OwnedBytes file, const std::string& path,
                                          OwnedBytes& pickled, Pickle& pickle) {
  auto storages = std::make_unique<PthZipStorages>(std::move(file), path);
  pickled = storages->pickled();
  pickle = parse_pickle(pickled.bytes, path);
  return storages;
}

}  // namespace residua
