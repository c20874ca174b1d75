#include <unordered_map>

#include "residua/core/error.h"
#include "residua/io/bytes.h"
#include "residua/io/pth_storages.h"

namespace residua {

namespace {

using Kind = PickleValue::Kind;

constexpr std::string_view kLegacyMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr int64_t kLegacyProtocol = 1001;

// Five pickles: a magic number, a protocol number, facts of the machine, the object, and the keys
// of the storages; then each storage in the order of the keys: its number of elements and its
// bytes.
class PthLegacyStorages final : public PthStorages {
 public:
  PthLegacyStorages(OwnedBytes file, const std::string& path)
      : file_(std::move(file)), path_(path) {}

  Pickle read_all() {
    check_preamble();
    Pickle object = next_pickle();
    const Pickle keys = next_pickle();
    locate(object, keys);
    return object;
  }

  const OwnedBytes& file() const { return file_; }

  size_t find(const PickleStorage& storage, const std::string& where) const override {
    const auto found = index_.find(std::string(storage.key));
    if (found == index_.end())
      throw Error(ErrorKind::corrupt_file,
                  {.where = where, .rule = "its storage is not in the file"});
    if (places_[found->second].size() !=
        static_cast<uint64_t>(storage.elements * storage.element_size()))
      throw Error(ErrorKind::corrupt_file,
                  {.where = where, .rule = "its storage has another size than the pickle says"});
    return found->second;
  }

  OwnedBytes read(size_t place) const override { return {file_.owner, places_[place]}; }

 private:
  [[noreturn]] void corrupt(std::string rule) const {
    throw Error(ErrorKind::corrupt_file, {.where = path_, .rule = std::move(rule)});
  }

  Pickle next_pickle() {
    const auto rest = file_.bytes.subspan(position_);
    // The whole file is no bound on a pickle; the limit of headers is.
    Pickle pickle = parse_pickle(rest.first(std::min<size_t>(rest.size(), kMaxHeaderBytes)), path_);
    position_ += pickle.size;
    return pickle;
  }

  void check_preamble() {
    const Pickle magic = next_pickle();
    if (magic[magic.root].kind != Kind::big_integer || magic[magic.root].text != kLegacyMagic)
      throw Error(ErrorKind::unsupported,
                  {.where = path_, .rule = "is a pickle, but not one that torch.save wrote"});
    const Pickle protocol = next_pickle();
    if (protocol[protocol.root].kind != Kind::integer ||
        protocol[protocol.root].integer != kLegacyProtocol)
      throw Error(ErrorKind::unsupported, {.where = path_,
                                           .rule = "is of an unknown version of PyTorch's format",
                                           .expected = "1001"});
    const Pickle machine = next_pickle();
    const std::vector<PickleId>& facts = machine[machine.root].items;
    if (machine[machine.root].kind != Kind::dict) corrupt("the facts of the machine are no dict");
    for (size_t i = 0; i + 1 < facts.size(); i += 2)
      if (machine[facts[i]].text == "little_endian" && machine[facts[i + 1]].integer == 0)
        throw Error(ErrorKind::unsupported,
                    {.where = path_, .rule = "was written on a big-endian machine"});
  }

  void locate(const Pickle& object, const Pickle& keys) {
    std::unordered_map<std::string_view, int64_t> sizes;  // of one element
    for (const PickleStorage& storage : object.storages)
      sizes.emplace(storage.key, storage.element_size());
    if (keys[keys.root].kind != Kind::list) corrupt("the storage keys are no list");
    for (const PickleId id : keys[keys.root].items) {
      const auto size = keys[id].kind == Kind::text ? sizes.find(keys[id].text) : sizes.end();
      if (size == sizes.end()) corrupt("a storage of the file belongs to no tensor");
      const std::string key(keys[id].text.substr(0, kMaxNameBytes));
      if (!index_.emplace(key, places_.size()).second)
        corrupt("the storage '" + key + "' is there twice");
      places_.push_back(take_storage(size->second, key));
    }
    if (position_ != file_.bytes.size())
      corrupt("has " + std::to_string(file_.bytes.size() - position_) +
              " bytes after the last storage");
  }

  std::span<const std::byte> take_storage(int64_t element, const std::string& key) {
    const size_t left = file_.bytes.size() - position_;
    if (left < 8) corrupt("is cut off before the storage '" + key + "'");
    const auto count = load_little<uint64_t>(file_.bytes.data() + position_);
    if (count > (left - 8) / static_cast<uint64_t>(element))
      corrupt("the storage '" + key + "' of " + std::to_string(count) +
              " elements reaches beyond the end of the file");
    const auto bytes = file_.bytes.subspan(position_ + 8, count * static_cast<uint64_t>(element));
    position_ += 8 + bytes.size();
    return bytes;
  }

  OwnedBytes file_;
  std::string path_;
  size_t position_ = 0;
  std::unordered_map<std::string, size_t> index_;
  std::vector<std::span<const std::byte>> places_;
};

}  // namespace

std::unique_ptr<PthStorages> open_pth_legacy(OwnedBytes file, const std::string& path,
                                             OwnedBytes& pickled, Pickle& pickle) {
  auto storages = std::make_unique<PthLegacyStorages>(std::move(file), path);
  pickled = storages->file();
  pickle = storages->read_all();
  return storages;
}

}  // namespace residua
