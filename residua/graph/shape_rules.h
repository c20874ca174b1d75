#pragma once
// What the shape rules of all operators share (internal to graph).

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "residua/graph/graph.h"

namespace residua {

// The types of one operation's inputs.
class Operands {
 public:
  Operands(std::string_view name, std::span<const std::optional<TensorType>> inputs)
      : name_(name), inputs_(inputs) {}

  size_t size() const { return inputs_.size(); }
  void count(size_t least, size_t most) const;  // refuses another number of inputs

  // An input, which the errors call `what`.
  const TensorType& at(size_t i, std::string_view what) const;  // refused when missing
  const TensorType* find(size_t i) const;                       // null when missing

  const TensorType& floating(size_t i, std::string_view what) const;
  // Missing, or of the shape and of type `dtype` or f32.
  void parameter(size_t i, std::string_view what, DType dtype, const Shape& shape) const;

  [[noreturn]] void refuse(std::string rule, std::string expected = {},
                           std::string received = {}) const;

 private:
  std::string_view name_;
  std::span<const std::optional<TensorType>> inputs_;
};

using Types = std::vector<TensorType>;

// The axis from 0 up; refused when there is none.
int64_t axis_of(const Operands& in, int64_t axis, const Shape& shape);

// The common shape of two, by NumPy's rule.
Shape broadcast(const Operands& in, const Shape& a, const Shape& b);
std::optional<Shape> broadcast(const Shape& a, const Shape& b);

// [N, C, ...]: the number of axes after the channels; refused unless the lists have one number
// (padding: two) for each.
int64_t spatial_axes(const Operands& in, const Shape& x);
void one_for_each(const Operands& in, std::string_view what, size_t numbers, size_t axes);

// The places that a window finds along an axis.
int64_t window_places(const Operands& in, int64_t size, int64_t kernel, int64_t stride,
                      int64_t before, int64_t after, int64_t dilation, bool ceil = false);

// The places that a slice takes of an axis: start, start + step, ..., `count` of them.
struct SliceBounds {
  int64_t start = 0, count = 0;
};
SliceBounds slice_bounds(const op::Slice& slice, int64_t size);

// How infer sees each operator.
Types shape_rule(const op::Conv&, const Operands&);
Types shape_rule(const op::ConvTranspose&, const Operands&);
Types shape_rule(const op::Linear&, const Operands&);
Types shape_rule(const op::MatMul&, const Operands&);
Types shape_rule(const op::Attention&, const Operands&);
Types shape_rule(const op::BatchNorm&, const Operands&);
Types shape_rule(const op::LayerNorm&, const Operands&);
Types shape_rule(const op::GroupNorm&, const Operands&);
Types shape_rule(const op::Pool&, const Operands&);
Types shape_rule(const op::AdaptivePool&, const Operands&);
Types shape_rule(const op::Reduce&, const Operands&);
Types shape_rule(const op::Unary&, const Operands&);
Types shape_rule(const op::Binary&, const Operands&);
Types shape_rule(const op::Where&, const Operands&);
Types shape_rule(const op::Softmax&, const Operands&);
Types shape_rule(const op::ArgMax&, const Operands&);
Types shape_rule(const op::TopK&, const Operands&);
Types shape_rule(const op::Reshape&, const Operands&);
Types shape_rule(const op::Transpose&, const Operands&);
Types shape_rule(const op::Expand&, const Operands&);
Types shape_rule(const op::Concat&, const Operands&);
Types shape_rule(const op::Slice&, const Operands&);
Types shape_rule(const op::Pad&, const Operands&);
Types shape_rule(const op::Gather&, const Operands&);
Types shape_rule(const op::Cast&, const Operands&);
Types shape_rule(const op::Arange&, const Operands&);
Types shape_rule(const op::Fill&, const Operands&);
Types shape_rule(const op::Triangle&, const Operands&);
Types shape_rule(const op::CumulativeSum&, const Operands&);
Types shape_rule(const op::Resize&, const Operands&);
Types shape_rule(const op::PixelShuffle&, const Operands&);
Types shape_rule(const op::Quantize&, const Operands&);
Types shape_rule(const op::Dequantize&, const Operands&);
Types shape_rule(const op::FusedBlock&, const Operands&);

}  // namespace residua
