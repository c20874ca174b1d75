#pragma once
// Little-endian numbers in bytes, and tensors as they lie in files (internal to io).

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>

#include "residua/io/tensor_file.h"

namespace residua {

static_assert(std::endian::native == std::endian::little, "tensor files are read in place");

// The caller has checked that sizeof(Number) bytes are there.
template <class Number>
Number load_little(const std::byte* from) {
  Number value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class Number>
void append_little(std::string& to, std::type_identity_t<Number> value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Size of what is aligned and byte-swapped as one: half of a complex number.
int64_t component_size(DType dtype);

// A tensor over contiguous bytes; copied only when they are not aligned to the component size.
TensorData aligned_tensor(const TensorInfo& info, OwnedBytes bytes);

// How a tensor lies in a storage: `strides` and `offset` in elements; `swap` when of foreign byte
// order.
struct StridedSource {
  OwnedBytes storage;
  int64_t offset = 0;
  Shape strides;
  bool swap = false;
};

// Throws ErrorKind::corrupt_file unless every element of the tensor lies within a storage of
// `storage_elements`.
void check_strided(const TensorInfo& info, int64_t offset, const Shape& strides,
                   int64_t storage_elements, const std::string& where);

// In place when already contiguous, aligned and native; else copied. The source was checked by
// check_strided.
TensorData gather_tensor(const TensorInfo& info, const StridedSource& source);

Shape contiguous_strides(const Shape& shape);  // row-major
Shape fortran_strides(const Shape& shape);     // column-major

// Throws ErrorKind::shape unless `view.bytes` has as many bytes as its shape and type need.
void check_view(const TensorView& view, const std::string& where);

}  // namespace residua
