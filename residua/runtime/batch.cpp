#include "residua/runtime/batch.h"

#include <algorithm>

#include "residua/core/error.h"

namespace residua {

namespace {

const AxisRule* batch_rule(const Graph& graph) {
  for (const AxisRule& rule : graph.axes) {
    const bool of_input =
        std::find(graph.inputs.begin(), graph.inputs.end(), rule.value) != graph.inputs.end();
    if (of_input && rule.axis == 0 && rule.rule.factor > 0) return &rule;
  }
  return nullptr;
}

}  // namespace

int64_t batch_of(const Graph& graph) {
  if (const AxisRule* rule = batch_rule(graph)) return graph.shape(rule->value).front();
  for (const ValueId v : graph.inputs)
    if (!graph.shape(v).empty()) return graph.shape(v).front();
  return 0;
}

bool has_open_batch(const Graph& graph) { return batch_rule(graph) != nullptr; }

Graph with_batch(const Graph& graph, int64_t batch) {
  if (batch == batch_of(graph)) return graph;
  const AxisRule* rule = batch_rule(graph);
  const SymbolRule symbol = rule ? rule->rule : SymbolRule{};
  if (!rule || (batch - symbol.offset) % symbol.factor != 0)
    throw Error(ErrorKind::unsupported,
                {.where = "batch",
                 .rule = rule ? "the model does not take this number at once"
                              : "the model has one size of batch only",
                 .expected = std::to_string(batch_of(graph)),
                 .received = std::to_string(batch)});
  return with_sizes(graph, {{symbol.symbol, (batch - symbol.offset) / symbol.factor}});
}

}  // namespace residua
