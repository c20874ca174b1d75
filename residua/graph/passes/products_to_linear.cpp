#include "residua/graph/passes/passes.h"
#include "residua/graph/passes/rewriter.h"

namespace residua {

namespace {

// The constant b as the weight of a linear: [columns, inner], with the scale.
Numbers linear_weight(const Numbers& b, bool transposed, double scale) {
  const int64_t rows = b.type.shape[0], columns = b.type.shape[1];
  Numbers weight = b;
  for (double& number : weight.data) number *= scale;
  if (transposed) return weight;
  weight.type.shape = {columns, rows};
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      weight.data[static_cast<size_t>(j * rows + i)] =
          scale * b.data[static_cast<size_t>(i * columns + j)];
  return weight;
}

}  // namespace

int64_t products_to_linear(Graph& graph) {
  Rewriter r(graph);
  int64_t changes = 0;
  for (Node& node : graph.nodes) {
    const auto* product = std::get_if<op::MatMul>(&node.operation);
    if (product == nullptr || product->transpose_a || !r.is_constant(node.inputs[1]) ||
        graph.shape(node.inputs[1]).size() != 2)
      continue;
    const Numbers weight =
        linear_weight(*r.constant(node.inputs[1]), product->transpose_b, product->scale);
    const std::string name = graph.value(node.inputs[1]).name + ".t";
    const bool as_it_is = product->transpose_b && product->scale == 1;
    const ValueId w = as_it_is ? node.inputs[1] : r.add_constant(name, weight);
    r.replace(node, op::Linear{}, {node.inputs[0], w});
    ++changes;
  }
  return r.finish(changes);
}

}  // namespace residua
