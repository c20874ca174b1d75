#pragma once
// The globals that pickles of tensors may name, and what each becomes (internal to io).

#include <string>
#include <string_view>

#include "residua/io/pickle.h"

namespace residua {

enum class PickleRole {
  ordered_dict,
  set,
  torch_size,
  torch_device,
  encode_text,
  rebuild_tensor,
  rebuild_tensor_v2,
  rebuild_tensor_v3,
  rebuild_parameter,
  rebuild_from_type,
  tensor_type,
  storage_type,
  dtype,
  numpy_dtype,
  numpy_scalar,
};

struct PickleGlobal {
  std::string_view module, name;
  PickleRole role;
  std::optional<DType> dtype = std::nullopt;  // of storages and dtypes; none for untyped storage
};

// The index in the table; ErrorKind::unsupported naming the global when it is not there.
size_t find_pickle_global(std::string_view module, std::string_view name, const std::string& where);
const PickleGlobal& pickle_global(size_t index);

// What calling `global` with `args` (a tuple) would have made. ErrorKind::corrupt_file when they do
// not fit.
PickleValue apply_pickle_global(Pickle& pickle, const PickleGlobal& global, PickleId args,
                                const std::string& where);

// What a persistent id, a tuple ('storage', type, key, location, elements[, view]), stands for.
PickleValue pickle_storage(Pickle& pickle, PickleId id, const std::string& where);

}  // namespace residua
