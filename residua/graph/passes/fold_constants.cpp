#include <algorithm>
#include <cmath>

#include "residua/core/error.h"
#include "residua/graph/interpreter.h"
#include "residua/graph/passes/passes.h"
#include "residua/graph/passes/rewriter.h"

namespace residua {

namespace {

bool worth_folding(const Rewriter& r, const Graph& graph, const Node& node,
                   const FoldOptions& options) {
  if (!node.rules.empty() || std::holds_alternative<op::Dequantize>(node.operation)) return false;
  int64_t before = 0, after = 0;
  for (const ValueId id : node.inputs) {
    if (id == kNoValue) continue;
    if (!r.is_constant(id)) return false;
    before += static_cast<int64_t>(graph.value(id).constant->bytes.size());
  }
  for (const ValueId id : node.outputs) {
    if (r.is_output(id)) return false;
    const TensorType& type = graph.value(id).type;
    after += checked_bytes(type.shape, type.dtype, graph.value(id).name);
  }
  return after <= std::max(before, options.max_bytes);
}

// 64-bit integers that the interpreter's doubles do not hold.
bool beyond_doubles(const Numbers& numbers) {
  if (numbers.type.dtype != DType::i64 && numbers.type.dtype != DType::u64) return false;
  return std::any_of(numbers.data.begin(), numbers.data.end(),
                     [](double n) { return std::abs(n) >= 0x1p53; });
}

std::optional<std::vector<Numbers>> computed(const Rewriter& r, const Node& node) {
  std::vector<std::optional<Numbers>> inputs;
  std::vector<const Numbers*> pointers;
  for (const ValueId id : node.inputs) inputs.push_back(r.constant(id));
  for (const auto& input : inputs) {
    if (input && beyond_doubles(*input)) return std::nullopt;
    pointers.push_back(input ? &*input : nullptr);
  }
  std::vector<Numbers> outputs;
  try {
    outputs = interpret(node.operation, pointers);
  } catch (const Error&) {
    return std::nullopt;  // an index beyond its axis, say: left to fail when it runs
  }
  if (std::any_of(outputs.begin(), outputs.end(), beyond_doubles)) return std::nullopt;
  return outputs;
}

}  // namespace

int64_t fold_constants(Graph& graph, const FoldOptions& options) {
  Rewriter r(graph);
  int64_t changes = 0;
  for (Node& node : graph.nodes) {
    if (!worth_folding(r, graph, node, options)) continue;
    const auto outputs = computed(r, node);
    if (!outputs) continue;
    r.remove(node);
    for (size_t i = 0; i < outputs->size(); ++i)
      graph.value(node.outputs[i]).constant = write_numbers((*outputs)[i]);
    ++changes;
  }
  return r.finish(changes);
}

}  // namespace residua
