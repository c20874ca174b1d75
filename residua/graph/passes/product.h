#pragma once
// Products and scalars as patterns see them (internal to graph/passes).

#include <vector>

#include "residua/graph/passes/rewriter.h"

namespace residua {

// coefficient * factors[0] * factors[1] * ...: what a tree of multiplications, divisions by
// constants, squares and whole powers comes to, whatever its order.
struct Monomial {
  double coefficient = 1;
  std::vector<ValueId> factors;  // sorted, repeated as often as they occur
};
Monomial product_of_value(Rewriter& rewriter, ValueId value);

// coefficient * x: a product with one factor.
struct Scaled {
  double coefficient = 1;
  ValueId x = kNoValue;
};
Scaled scaled_value(Rewriter& rewriter, ValueId value);

// x where `value` is x plus a constant of one element.
struct Shifted {
  ValueId x = kNoValue;
  double shift = 0;
};
std::optional<Shifted> shifted_value(Rewriter& rewriter, ValueId value);

// The input of a function of this kind that writes `value`, else kNoValue.
ValueId argument_of(Rewriter& rewriter, ValueId value, UnaryKind kind);

// Written constants are rounded: equal to seven digits, as f32 holds them.
bool about(double a, double b);

}  // namespace residua
