#pragma once
// Where the bytes of PyTorch's storages lie, in both forms of its files (internal to io).

#include <memory>
#include <string>

#include "residua/io/file.h"
#include "residua/io/pickle.h"
#include "residua/io/pth_state.h"

namespace residua {

class PthStorages {
 public:
  virtual ~PthStorages() = default;

  // The place of a storage, for `read`; throws, naming `where`, when it is missing or of another
  // size.
  virtual size_t find(const PickleStorage& storage, const std::string& where) const = 0;
  virtual OwnedBytes read(size_t place) const = 0;
  virtual bool swapped() const { return false; }  // written on a big-endian machine
};

// Both parse the pickle of the saved object, which then points into `pickled`.
std::unique_ptr<PthStorages> open_pth_zip(OwnedBytes file, const std::string& path,
                                          OwnedBytes& pickled, Pickle& pickle);
std::unique_ptr<PthStorages> open_pth_legacy(OwnedBytes file, const std::string& path,
                                             OwnedBytes& pickled, Pickle& pickle);

}  // namespace residua
