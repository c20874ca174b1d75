#pragma once
// Operators that make each place of an axis from a few places of the input (internal to runtime):
// resizing, mirrored padding, and the windows that oneDNN's pools do not have.

#include "residua/kernels/axis_taps.h"
#include "residua/runtime/lowering.h"

namespace residua {

// Writes output 0 by one pass for each axis of the input that has taps; the others stay. Images
// keep their order of memory where only spatial axes change.
bool emit_taps(Lowering& l, std::vector<std::optional<kernels::AxisTaps>> axes);

// Any window, one axis after the other.
bool lower_pool_by_taps(const op::Pool&, Lowering&);
bool lower_adaptive_pool_by_taps(const op::AdaptivePool&, Lowering&);
bool lower_pad_by_taps(const op::Pad&, Lowering&);  // reflect and replicate

}  // namespace residua
