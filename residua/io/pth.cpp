#include "residua/io/pth.h"

#include <cstring>

#include "residua/core/error.h"
#include "residua/io/bytes.h"
#include "residua/io/pth_storages.h"

namespace residua {

namespace {

class PthFile final : public TensorFile {
 public:
  PthFile(const std::string& path, std::string format, Pickle& pickle,
          std::unique_ptr<PthStorages> storages, uint64_t file_size)
      : TensorFile(path, std::move(format)), storages_(std::move(storages)) {
    PthState state = select_pth_state(pickle, path);
    metadata_ = std::move(state.metadata);
    std::vector<size_t> places(pickle.storages.size(), SIZE_MAX);  // found once for each storage
    for (const NamedPickleTensor& named : state.tensors) {
      const PickleTensor& tensor = pickle.tensors[named.tensor];
      const PickleStorage& storage = pickle.storages[tensor.storage];
      const std::string where = path + ": tensor '" + named.name + "'";
      if (places[tensor.storage] == SIZE_MAX)
        places[tensor.storage] = storages_->find(storage, where);
      place({named.name, tensor.dtype, tensor.shape}, tensor, storage, places[tensor.storage],
            where, file_size);
    }
  }

  TensorData read(std::string_view name) const override {
    const size_t i = index(name);
    const Place& place = places_[i];
    OwnedBytes bytes = storages_->read(place.storage);
    bytes.bytes = bytes.bytes.subspan(place.begin);
    return gather_tensor(tensors()[i], {.storage = std::move(bytes),
                                        .offset = place.offset,
                                        .strides = place.strides,
                                        .swap = storages_->swapped()});
  }

 private:
  struct Place {
    size_t storage;  // in storages_
    size_t begin;    // byte in the storage where a view of it starts, usually 0
    int64_t offset;  // in elements
    Shape strides;
  };

  void place(TensorInfo info, const PickleTensor& tensor, const PickleStorage& storage,
             size_t where_stored, const std::string& where, uint64_t file_size) {
    const bool view = !storage.view_key.empty();
    const int64_t bytes =
        (view ? storage.view_elements : storage.elements) * storage.element_size();
    check_strided(info, tensor.offset, tensor.strides, bytes / element_size(info.dtype), where);
    // A stride of 0 can make a tensor larger than its file; a little is fair, a bomb is not.
    constexpr uint64_t kExpansion = 64 << 20;
    if (static_cast<uint64_t>(checked_bytes(info.shape, info.dtype, where)) >
        file_size + kExpansion)
      throw Error(ErrorKind::limit,
                  {.where = where,
                   .rule = "repeats few stored elements to a tensor larger than its file by " +
                           std::to_string(kExpansion) + " bytes or more"});
    const auto begin = static_cast<size_t>(view ? storage.view_offset * storage.element_size() : 0);
    places_.push_back({where_stored, begin, tensor.offset, tensor.strides});
    add_tensor(std::move(info));
  }

  std::unique_ptr<PthStorages> storages_;
  std::vector<Place> places_;
};

bool is_tar(std::span<const std::byte> bytes) {
  return bytes.size() >= 262 && std::memcmp(bytes.data() + 257, "ustar", 5) == 0;
}

}  // namespace

std::unique_ptr<TensorFile> parse_pth(OwnedBytes bytes, const std::string& path) {
  if (is_tar(bytes.bytes))
    throw Error(ErrorKind::unsupported,
                {.where = path,
                 .rule = "is a tar archive, the form that PyTorch wrote before 2017",
                 .hint = "load it with PyTorch and save it again with torch.save"});
  const uint64_t file_size = bytes.bytes.size();
  const bool zip = file_size >= 2 && std::memcmp(bytes.bytes.data(), "PK", 2) == 0;
  Pickle pickle;
  OwnedBytes pickled;  // what `pickle` points into
  std::unique_ptr<PthStorages> storages =
      zip ? open_pth_zip(std::move(bytes), path, pickled, pickle)
          : open_pth_legacy(std::move(bytes), path, pickled, pickle);
  return std::make_unique<PthFile>(path, zip ? "pth" : "pth-legacy", pickle, std::move(storages),
                                   file_size);
}

std::unique_ptr<TensorFile> open_pth(const std::string& path) {
  return parse_pth(map_file(path), path);
}

}  // namespace residua
