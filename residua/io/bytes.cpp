#include "residua/io/bytes.h"

#include <algorithm>

#include "residua/core/error.h"

namespace residua {

int64_t component_size(DType dtype) {
  const bool complex = dtype == DType::c64 || dtype == DType::c128;
  return element_size(dtype) / (complex ? 2 : 1);
}

namespace {

bool aligned_for(const std::byte* address, DType dtype) {
  return reinterpret_cast<uintptr_t>(address) % static_cast<uintptr_t>(component_size(dtype)) == 0;
}

void swap_components(std::span<std::byte> bytes, int64_t size) {
  for (size_t i = 0; i < bytes.size(); i += static_cast<size_t>(size))
    std::reverse(bytes.begin() + static_cast<ptrdiff_t>(i),
                 bytes.begin() + static_cast<ptrdiff_t>(i) + size);
}

template <size_t Size>
void copy_row(std::byte* to, const std::byte* from, int64_t count, int64_t step) {
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(to + i * static_cast<int64_t>(Size), from + i * step, Size);
}

void copy_row(std::byte* to, const std::byte* from, int64_t count, int64_t step, int64_t element) {
  switch (element) {
    case 1: return copy_row<1>(to, from, count, step);
    case 2: return copy_row<2>(to, from, count, step);
    case 4: return copy_row<4>(to, from, count, step);
    case 8: return copy_row<8>(to, from, count, step);
    default: return copy_row<16>(to, from, count, step);
  }
}

}  // namespace

TensorData aligned_tensor(const TensorInfo& info, OwnedBytes bytes) {
  if (bytes.bytes.empty()) return {info, std::move(bytes.owner), {}};
  if (!aligned_for(bytes.bytes.data(), info.dtype))
    bytes = own_bytes(std::vector<std::byte>(bytes.bytes.begin(), bytes.bytes.end()));
  return {info, std::move(bytes.owner), bytes.bytes};
}

Shape contiguous_strides(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;)
    strides[i - 1] = strides[i] * std::max<int64_t>(shape[i], 1);
  return strides;
}

Shape fortran_strides(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (size_t i = 1; i < shape.size(); ++i)
    strides[i] = strides[i - 1] * std::max<int64_t>(shape[i - 1], 1);
  return strides;
}

void check_strided(const TensorInfo& info, int64_t offset, const Shape& strides,
                   int64_t storage_elements, const std::string& where) {
  const auto refuse = [&](std::string rule) {
    throw Error(ErrorKind::corrupt_file, {.where = where, .rule = std::move(rule)});
  };
  if (strides.size() != info.shape.size()) refuse("has another number of strides than of sizes");
  if (offset < 0) refuse("begins before its storage");
  if (checked_bytes(info.shape, info.dtype, where) == 0) return;
  int64_t last = offset;
  for (size_t i = 0; i < strides.size(); ++i) {
    int64_t reach = 0;
    if (strides[i] < 0) refuse("has the negative stride " + std::to_string(strides[i]));
    if (__builtin_mul_overflow(info.shape[i] - 1, strides[i], &reach) ||
        __builtin_add_overflow(last, reach, &last))
      refuse("its strides reach beyond 64 bits");
  }
  if (last >= storage_elements)
    refuse("shape " + to_string(info.shape) + " with strides " + to_string(strides) +
           " from element " + std::to_string(offset) + " reaches beyond its storage of " +
           std::to_string(storage_elements) + " elements");
}

TensorData gather_tensor(const TensorInfo& info, const StridedSource& source) {
  const int64_t element = element_size(info.dtype);
  const int64_t bytes = checked_bytes(info.shape, info.dtype, info.name);
  if (bytes == 0) return {info, source.storage.owner, {}};
  const std::byte* base = source.storage.bytes.data() + source.offset * element;
  const Shape wanted = contiguous_strides(info.shape);
  bool contiguous = true;
  for (size_t i = 0; i < wanted.size(); ++i)
    contiguous &= info.shape[i] == 1 || source.strides[i] == wanted[i];
  if (contiguous && !source.swap)
    return aligned_tensor(info, {source.storage.owner, {base, static_cast<size_t>(bytes)}});

  // A stride over a single element is never taken and may be any number.
  Shape strides = source.strides;
  for (size_t i = 0; i < strides.size(); ++i)
    if (info.shape[i] == 1) strides[i] = 0;
  std::vector<std::byte> content(static_cast<size_t>(bytes));
  const size_t rank = info.shape.size();
  const int64_t row = rank == 0 ? 1 : info.shape.back();
  const int64_t step = (rank == 0 ? 1 : strides.back()) * element;
  Shape position(rank, 0);  // of the row; its last entry stays 0
  for (int64_t done = 0; done < bytes; done += row * element) {
    copy_row(content.data() + done, base, row, step, element);
    for (size_t i = rank < 2 ? 0 : rank - 1; i-- > 0;) {
      base += strides[i] * element;
      if (++position[i] < info.shape[i]) break;
      base -= strides[i] * element * info.shape[i];
      position[i] = 0;
    }
  }
  if (source.swap) swap_components(content, component_size(info.dtype));
  OwnedBytes owned = own_bytes(std::move(content));
  return {info, std::move(owned.owner), owned.bytes};
}

void check_view(const TensorView& view, const std::string& where) {
  const int64_t bytes = checked_bytes(view.shape, view.dtype, where);
  if (static_cast<uint64_t>(bytes) != view.bytes.size())
    throw Error(ErrorKind::shape,
                {.where = where,
                 .rule = "the data does not fit the shape",
                 .expected = std::to_string(bytes) + " bytes for " + to_string(view.shape) +
                             " of " + std::string(to_string(view.dtype)),
                 .received = std::to_string(view.bytes.size())});
}

}  // namespace residua
