#pragma once
// Copies an array of up to 8 axes into another order: transposes, slices, repeats.

#include <array>
#include <cstdint>

namespace residua::kernels {

struct StridedCopy {
  static constexpr int kMaxAxes = 8;
  int axes = 0;
  std::array<int64_t, kMaxAxes> sizes = {}, from = {}, to = {};  // strides count elements
  int64_t element_bytes = 4;                                     // 1, 2, 4 or 8

  void add_axis(int64_t size, int64_t from_stride, int64_t to_stride);  // outermost first
};

// Joins axes that lie behind each other in both arrays and drops those of size 1; the same copy.
StridedCopy simplified(const StridedCopy& copy);

// The part of the copy with places [begin, end) of the first axis (all of it without axes).
void copy_strided(const StridedCopy& copy, const void* from, void* to, int64_t begin, int64_t end);

}  // namespace residua::kernels
