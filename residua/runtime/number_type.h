#pragma once
// The element types that our kernels compute with outside products (internal to runtime).

#include <cstdint>

#include "residua/io/dtype.h"

namespace residua {

inline bool is_number_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i64:
    case DType::i32:
    case DType::i8:
    case DType::u8:
    case DType::boolean: return true;
    default: return false;
  }
}

// Calls body with a null pointer of the type's numbers; truth values are uint8_t.
template <class Body>
void with_number_type(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::f32: return body(static_cast<float*>(nullptr));
    case DType::i64: return body(static_cast<int64_t*>(nullptr));
    case DType::i32: return body(static_cast<int32_t*>(nullptr));
    case DType::i8: return body(static_cast<int8_t*>(nullptr));
    default: return body(static_cast<uint8_t*>(nullptr));
  }
}

}  // namespace residua
