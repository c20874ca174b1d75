#pragma once
// Each place of an axis from a few places of another: resizing, pooling and padding, one axis at a
// time.

#include <cstdint>
#include <vector>

#include "residua/kernels/bfloat16.h"

namespace residua::kernels {

// Place i is the weighted sum of taps [first[i], first[i + 1]), or the largest of their numbers.
struct AxisTaps {
  bool largest = false;
  std::vector<int64_t> first = {0};
  std::vector<int64_t> place = {};  // of the source
  std::vector<float> weight = {};

  int64_t size() const { return static_cast<int64_t>(first.size()) - 1; }
  void add_tap(int64_t at, float by) {
    place.push_back(at);
    weight.push_back(by);
  }
  void end_place() { first.push_back(static_cast<int64_t>(place.size())); }
};

// Places [begin, end) of y [size, inner] from x [places, inner], in float32 or bfloat16 (computed
// in float32), on the calling thread alone.
template <class T>
void apply_taps(const AxisTaps& taps, const T* x, T* y, int64_t inner, int64_t begin, int64_t end);

}  // namespace residua::kernels
