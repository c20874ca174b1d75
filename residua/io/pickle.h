#pragma once
// Python pickles of tensors, read without executing anything (internal to io).
//
// The reader runs the opcodes of protocols 2 to 5 on plain values. A pickle names the callables it
// wants by globals; only those of pickle_globals.h are known, each turns into a value here and none
// runs code. Everything is bounded: one opcode makes at most one value, and values beyond
// kMaxPickleValues are refused.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "residua/io/dtype.h"

namespace residua {

inline constexpr size_t kMaxPickleValues = 8'000'000;

using PickleId =
    uint32_t;  // index into Pickle::values; containers share values freely, even in cycles

struct PickleValue {
  enum class Kind : uint8_t {
    none,
    boolean,
    integer,
    big_integer,
    real,
    text,
    bytes,
    latin1,  // the latter as UTF-8 text
    list,
    tuple,
    dict,
    set,
    global,       // integer: index into the table of known globals
    dtype,        // integer: a DType
    numpy_dtype,  // text: such as "f8"
    storage,      // integer: index into Pickle::storages
    tensor,       // integer: index into Pickle::tensors
  };
  Kind kind = Kind::none;
  bool ordered_dict = false;  // may be given attributes
  int64_t integer = 0;
  double real = 0;
  std::string_view text = {};        // into the pickle's bytes
  std::vector<PickleId> items = {};  // of containers; a dict's are key, value, key, value, ...
};

struct PickleStorage {
  std::string_view key;        // names the bytes in the file
  std::optional<DType> dtype;  // none for untyped storage, whose elements are bytes
  int64_t elements = 0;
  std::string_view view_key = {};  // of a part of a storage in files of before 2017, else empty
  int64_t view_offset = 0, view_elements = 0;

  int64_t element_size() const { return dtype ? residua::element_size(*dtype) : 1; }
};

struct PickleTensor {
  size_t storage = 0;
  DType dtype = DType::f32;
  int64_t offset = 0;  // in elements of dtype, as the strides
  Shape shape, strides;
};

struct Pickle {
  std::vector<PickleValue> values;
  std::vector<PickleStorage> storages;
  std::vector<PickleTensor> tensors;
  PickleId root = 0;
  size_t size = 0;  // bytes of the pickle, which may be followed by others

  const PickleValue& operator[](PickleId id) const { return values[id]; }
};

// `where` names the file. Unknown globals and opcodes are ErrorKind::unsupported, anything else
// wrong corrupt_file or limit. The result points into `bytes`.
Pickle parse_pickle(std::span<const std::byte> bytes, const std::string& where);

}  // namespace residua
