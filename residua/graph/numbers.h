#pragma once
// Values of a graph as arrays of double, whatever their element type: what the reference
// interpreter computes with, and the way from and to the bytes of constants.

#include <vector>

#include "residua/graph/graph.h"

namespace residua {

struct Numbers {
  TensorType type;
  std::vector<double> data;  // row-major; truth values are 0 and 1
};

// The number nearest to `value` in the element type: integers drop the fraction and saturate (NaN
// gives 0), truth is what is not 0; f16, bf16 and f32 round to nearest, ties to even.
double to_nearest(double value, DType dtype);

// Constants of any real element type; 64-bit integers beyond 2^53 lose their last bits. Throws
// ErrorKind::shape unless there are as many bytes as the type needs.
Numbers read_numbers(const TensorType& type, const ConstantData& constant);

// The inverse, each number brought to the element type by to_nearest.
ConstantData write_numbers(const Numbers& numbers);

}  // namespace residua
