#include "residua/kernels/strided_copy.h"

#include <algorithm>
#include <cstring>

namespace residua::kernels {

namespace {

template <class T>
void copy_run(const T* from, int64_t from_stride, T* to, int64_t to_stride, int64_t n) {
  if (from_stride == 1 && to_stride == 1) {
    std::memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
  } else if (from_stride == 0 && to_stride == 1) {
    std::fill(to, to + n, *from);
  } else {
    for (int64_t i = 0; i < n; ++i) to[i * to_stride] = from[i * from_stride];
  }
}

// Two axes of which one is contiguous here and the other there, by squares that stay in the cache.
template <class T>
void copy_squares(const T* from, const int64_t* from_strides, T* to, const int64_t* to_strides,
                  int64_t rows, int64_t columns) {
  constexpr int64_t kSquare = 16;
  for (int64_t i = 0; i < rows; i += kSquare)
    for (int64_t j = 0; j < columns; j += kSquare)
      for (int64_t r = i; r < std::min(i + kSquare, rows); ++r)
        for (int64_t c = j; c < std::min(j + kSquare, columns); ++c)
          to[r * to_strides[0] + c * to_strides[1]] =
              from[r * from_strides[0] + c * from_strides[1]];
}

template <class T>
void copy_axes(const StridedCopy& copy, int axis, const T* from, T* to, int64_t begin,
               int64_t end) {
  const auto i = static_cast<size_t>(axis);
  from += begin * copy.from[i];
  to += begin * copy.to[i];
  if (axis == copy.axes - 1) return copy_run(from, copy.from[i], to, copy.to[i], end - begin);
  if (axis == copy.axes - 2 && copy.from[i] == 1)
    return copy_squares(from, &copy.from[i], to, &copy.to[i], end - begin, copy.sizes[i + 1]);
  for (int64_t k = begin; k < end; ++k, from += copy.from[i], to += copy.to[i])
    copy_axes(copy, axis + 1, from, to, 0, copy.sizes[i + 1]);
}

template <class T>
void copy_elements(const StridedCopy& copy, const void* from, void* to, int64_t begin,
                   int64_t end) {
  const auto* x = static_cast<const T*>(from);
  auto* y = static_cast<T*>(to);
  if (copy.axes == 0)
    *y = *x;
  else
    copy_axes(copy, 0, x, y, begin, end);
}

}  // namespace

void StridedCopy::add_axis(int64_t size, int64_t from_stride, int64_t to_stride) {
  const auto i = static_cast<size_t>(axes++);
  sizes[i] = size, from[i] = from_stride, to[i] = to_stride;
}

StridedCopy simplified(const StridedCopy& copy) {
  StridedCopy s{.element_bytes = copy.element_bytes};
  for (size_t i = 0; i < static_cast<size_t>(copy.axes); ++i) {
    if (copy.sizes[i] == 1) continue;
    const auto last = static_cast<size_t>(s.axes - 1);
    if (s.axes > 0 && s.from[last] == copy.from[i] * copy.sizes[i] &&
        s.to[last] == copy.to[i] * copy.sizes[i]) {
      s.sizes[last] *= copy.sizes[i];
      s.from[last] = copy.from[i], s.to[last] = copy.to[i];
    } else {
      s.add_axis(copy.sizes[i], copy.from[i], copy.to[i]);
    }
  }
  return s;
}

void copy_strided(const StridedCopy& copy, const void* from, void* to, int64_t begin, int64_t end) {
  switch (copy.element_bytes) {
    case 1: return copy_elements<uint8_t>(copy, from, to, begin, end);
    case 2: return copy_elements<uint16_t>(copy, from, to, begin, end);
    case 8: return copy_elements<uint64_t>(copy, from, to, begin, end);
    default: return copy_elements<uint32_t>(copy, from, to, begin, end);
  }
}

}  // namespace residua::kernels
