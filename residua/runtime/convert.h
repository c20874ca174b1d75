#pragma once
// From one form of a value to another (internal to runtime).

#include <optional>

#include "residua/runtime/lowering.h"

namespace residua {

// Any types and layouts. Reals become integers by rounding to nearest, saturated; integer forms
// with a scale are multiplied by it, and real numbers divided by the scale of an integer form.
void convert(const Form& from, const void* source, const Form& to, void* target, int threads);

// A step that does it, by oneDNN where it can.
void emit_reorder(Lowering& l, FormId from, FormId to);

// The scale of a quantize or dequantize node with one constant scale and zero point 0.
std::optional<float> symmetric_scale(const Graph& graph, const Node& node);

}  // namespace residua
