#include <fmt/format.h>

#include "tests/graph/onnx/sample_graphs.h"

namespace residua::testing {

ValueId SampleBuilder::input(Shape shape, DType dtype, std::vector<SymbolRule> axes) {
  return builder_.input(fmt::format("x{}", inputs_++), dtype, std::move(shape), std::move(axes));
}

ValueId SampleBuilder::weight(Shape shape, double scale, double mean, DType dtype) {
  Numbers numbers{{dtype, shape}, {}};
  for (int64_t n = checked_numel(shape, "weight"); n > 0; --n)
    numbers.data.push_back(mean + scale * random_.normal());
  const ConstantData data = write_numbers(numbers);
  return builder_.constant("w", {{{}, dtype, shape}, data.owner, data.bytes});
}

void SampleBuilder::follow(const std::string& field, int64_t index, SymbolRule rule) {
  builder_.graph().nodes.back().rules.push_back({field, index, std::move(rule)});
}

void SampleBuilder::output(ValueId value) {
  builder_.output(fmt::format("y{}", outputs_++), value);
}

std::vector<Numbers> random_inputs(const Graph& graph, uint64_t seed) {
  Random random(seed);
  std::vector<Numbers> inputs;
  for (const ValueId id : graph.inputs) {
    Numbers numbers{graph.value(id).type, {}};
    for (int64_t n = checked_numel(numbers.type.shape, "input"); n > 0; --n) {
      const bool floating = is_floating(numbers.type.dtype);
      const double value = floating ? random.normal()
                           : numbers.type.dtype == DType::boolean
                               ? static_cast<double>(random.integer(0, 2))
                               : static_cast<double>(random.integer(0, 4));
      numbers.data.push_back(to_nearest(value, numbers.type.dtype));
    }
    inputs.push_back(std::move(numbers));
  }
  return inputs;
}

}  // namespace residua::testing
