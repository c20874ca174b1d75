#pragma once
// The reference interpreter: what a graph means, in double precision, by loops that are slow and
// obviously right. Plans, passes and exporters are compared with it.
//
// Nothing is rounded to a value's element type, except by operators that round by definition:
// quantize, and cast and fill to integers. Integers are exact up to 2^53 and do not wrap.

#include <functional>
#include <span>
#include <vector>

#include "residua/graph/numbers.h"

namespace residua {

struct InterpreterOptions {
  // Of one value; a larger one is ErrorKind::limit.
  int64_t max_elements = int64_t{1} << 28;
  // Sees every value that a node writes; for calibration and for finding where two runs part.
  std::function<void(ValueId, const Numbers&)> observe = {};
};

// The outputs for inputs of the graph's types. Throws ErrorKind::shape where an input has another
// type, invalid_argument where an index is beyond its axis.
std::vector<Numbers> interpret(const Graph& graph, std::span<const Numbers> inputs,
                               const InterpreterOptions& options = {});

// One operation; missing inputs are null.
std::vector<Numbers> interpret(const Operation& operation, std::span<const Numbers* const> inputs,
                               const InterpreterOptions& options = {});

// One number, as an activation sees it.
double interpret(const op::Activation& function, double x);

}  // namespace residua
