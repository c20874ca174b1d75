#pragma once
// What the interpreter's operators share (internal to graph). Each `compute` fills outputs that
// already have their inferred types and are all 0.

#include <cstdint>
#include <vector>

#include "residua/graph/numbers.h"

namespace residua {

class ReadInputs {
 public:
  explicit ReadInputs(std::span<const Numbers* const> inputs) : inputs_(inputs) {}

  const Numbers& operator[](size_t i) const { return *inputs_[i]; }
  const Numbers* find(size_t i) const { return i < inputs_.size() ? inputs_[i] : nullptr; }
  size_t size() const { return inputs_.size(); }

 private:
  std::span<const Numbers* const> inputs_;
};

using Outputs = std::vector<Numbers>;

Shape row_major_strides(const Shape& shape);
int64_t product_of(const Shape& shape);

// Strides through which `shape` is read as if it were `as`, by NumPy's rule of broadcasting.
Shape broadcast_strides(const Shape& shape, const Shape& as);

int64_t offset_of(const Shape& index, const Shape& strides);

// Calls visit(index) for every place of a shape, in row-major order.
template <class Visit>
void each_place(const Shape& shape, Visit visit) {
  Shape index(shape.size(), 0);
  for (int64_t n = product_of(shape); n > 0; --n) {
    visit(index);
    for (size_t i = shape.size(); i-- > 0;) {
      if (++index[i] < shape[i]) break;
      index[i] = 0;
    }
  }
}

// Calls visit(first, step) for every line along an axis: its elements are first + i * step.
template <class Visit>
void each_line(const Shape& shape, int64_t axis, Visit visit) {
  const auto a = static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis);
  const Shape strides = row_major_strides(shape);
  Shape firsts = shape;
  firsts[a] = 1;
  each_place(firsts, [&](const Shape& index) { visit(offset_of(index, strides), strides[a]); });
}

// The elements of the last one, two or three axes, as three.
struct Space {
  int64_t depth = 1, height = 1, width = 1;
  int64_t size() const { return depth * height * width; }
};
Space space_of(const std::vector<int64_t>& sizes, size_t skip = 0, int64_t missing = 1);

double maximum_of(double a, double b);  // NaN if either is
double minimum_of(double a, double b);
bool ranks_above(double a, double b);  // a > b, NaN above all

void compute(const op::Conv&, const ReadInputs&, Outputs&);
void compute(const op::ConvTranspose&, const ReadInputs&, Outputs&);
void compute(const op::Linear&, const ReadInputs&, Outputs&);
void compute(const op::MatMul&, const ReadInputs&, Outputs&);
void compute(const op::Attention&, const ReadInputs&, Outputs&);
void compute(const op::FusedBlock&, const ReadInputs&, Outputs&);
void compute(const op::BatchNorm&, const ReadInputs&, Outputs&);
void compute(const op::LayerNorm&, const ReadInputs&, Outputs&);
void compute(const op::GroupNorm&, const ReadInputs&, Outputs&);
void compute(const op::Pool&, const ReadInputs&, Outputs&);
void compute(const op::AdaptivePool&, const ReadInputs&, Outputs&);
void compute(const op::Reduce&, const ReadInputs&, Outputs&);
void compute(const op::Unary&, const ReadInputs&, Outputs&);
void compute(const op::Binary&, const ReadInputs&, Outputs&);
void compute(const op::Where&, const ReadInputs&, Outputs&);
void compute(const op::Softmax&, const ReadInputs&, Outputs&);
void compute(const op::ArgMax&, const ReadInputs&, Outputs&);
void compute(const op::TopK&, const ReadInputs&, Outputs&);
void compute(const op::CumulativeSum&, const ReadInputs&, Outputs&);
void compute(const op::Quantize&, const ReadInputs&, Outputs&);
void compute(const op::Dequantize&, const ReadInputs&, Outputs&);
void compute(const op::Reshape&, const ReadInputs&, Outputs&);
void compute(const op::Transpose&, const ReadInputs&, Outputs&);
void compute(const op::Expand&, const ReadInputs&, Outputs&);
void compute(const op::Concat&, const ReadInputs&, Outputs&);
void compute(const op::Slice&, const ReadInputs&, Outputs&);
void compute(const op::Pad&, const ReadInputs&, Outputs&);
void compute(const op::Gather&, const ReadInputs&, Outputs&);
void compute(const op::Cast&, const ReadInputs&, Outputs&);
void compute(const op::Arange&, const ReadInputs&, Outputs&);
void compute(const op::Fill&, const ReadInputs&, Outputs&);
void compute(const op::Triangle&, const ReadInputs&, Outputs&);
void compute(const op::Resize&, const ReadInputs&, Outputs&);
void compute(const op::PixelShuffle&, const ReadInputs&, Outputs&);

}  // namespace residua
