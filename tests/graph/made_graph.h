#pragma once
// Graphs for tests of passes, and what passes must keep: the interpreter says so before and after,
// in double, on graphs whose weights are f64 so that folding them rounds nothing that could be
// seen.

#include <gtest/gtest.h>

#include <cmath>

#include "residua/core/random.h"
#include "residua/graph/interpreter.h"

namespace residua {

inline constexpr DType kReal = DType::f64;

// A builder with random constants.
struct Maker {
  GraphBuilder b;
  Random random{7};

  ValueId input(Shape shape) { return b.input("x", kReal, std::move(shape)); }
  ValueId weight(const Shape& shape, double low = -1, double high = 1) {
    Numbers n{{kReal, shape}, {}};
    for (int64_t i = checked_numel(shape, "test"); i > 0; --i)
      n.data.push_back(random.uniform(low, high));
    return constant(n);
  }
  ValueId scalar(double number, const Shape& shape = {}) {
    return constant({{kReal, shape}, {number}});
  }
  ValueId constant(const Numbers& n) {
    const ConstantData data = write_numbers(n);
    return b.constant("c", TensorData{{"c", n.type.dtype, n.type.shape}, data.owner, data.bytes});
  }
  ValueId unary(UnaryKind kind, ValueId x, double alpha = 0, double beta = 0) {
    return b.add(op::Unary{{kind, alpha, beta}}, {x});
  }
  ValueId binary(BinaryKind kind, ValueId x, ValueId y) {
    return b.add(op::Binary{.kind = kind}, {x, y});
  }
  ValueId add(ValueId x, ValueId y) { return binary(BinaryKind::add, x, y); }
  ValueId multiply(ValueId x, ValueId y) { return binary(BinaryKind::multiply, x, y); }
  ValueId norm(ValueId x) {
    const int64_t c = b.graph().shape(x)[1];
    return b.add(op::BatchNorm{}, {x, weight({c}), weight({c}, 0.5, 2), weight({c}), weight({c})});
  }
  ValueId mean(ValueId x) {
    return b.add(op::Reduce{.kind = ReduceKind::mean, .axes = {-1}, .keep = true}, {x});
  }
  Graph finish(ValueId y) {
    b.output("y", y);
    return b.finish();
  }
};

inline std::vector<Numbers> random_inputs(const Graph& graph, Random random) {
  std::vector<Numbers> inputs;
  for (const ValueId id : graph.inputs) {
    Numbers n{graph.value(id).type, {}};
    for (int64_t i = checked_numel(n.type.shape, "test"); i > 0; --i)
      n.data.push_back(random.uniform(-2, 2));
    inputs.push_back(std::move(n));
  }
  return inputs;
}

inline void expect_same_function(const Graph& before, const Graph& after,
                                 const std::string& what = {}) {
  verify(after);
  ASSERT_EQ(after.outputs.size(), before.outputs.size()) << what;
  for (size_t i = 0; i < before.outputs.size(); ++i)
    EXPECT_EQ(after.value(after.outputs[i]).name, before.value(before.outputs[i]).name) << what;
  const std::vector<Numbers> inputs = random_inputs(before, Random(3));
  const auto expected = interpret(before, inputs), actual = interpret(after, inputs);
  for (size_t o = 0; o < expected.size(); ++o) {
    ASSERT_EQ(actual[o].type, expected[o].type) << what;
    double largest = 0;
    for (const double n : expected[o].data) largest = std::max(largest, std::abs(n));
    for (size_t i = 0; i < expected[o].data.size(); ++i)
      ASSERT_NEAR(actual[o].data[i], expected[o].data[i], 1e-10 * (largest + 1e-3))
          << what << "\n"
          << to_text(before) << "\n"
          << to_text(after);
  }
}

}  // namespace residua
