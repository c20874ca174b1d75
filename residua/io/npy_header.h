#pragma once
// The header of an .npy array (internal to io).

#include <cstdint>
#include <span>
#include <string>

#include "residua/io/dtype.h"

namespace residua {

struct NpyHeader {
  DType dtype = DType::f32;
  bool swap = false;  // big-endian data
  bool fortran_order = false;
  Shape shape;
  size_t size = 0;  // bytes before the data
};

// `begin` holds at least the header of a file of `file_size` bytes, which must be exactly header
// and data.
NpyHeader parse_npy_header(std::span<const std::byte> begin, uint64_t file_size,
                           const std::string& where);

// Magic, version 1.0 and the dictionary, padded to a multiple of 64.
std::string compose_npy_header(DType dtype, const Shape& shape, const std::string& where);

}  // namespace residua
