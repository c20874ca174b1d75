#include <algorithm>

#include "residua/graph/passes/passes.h"

namespace residua {

namespace {

// What outputs need, found from the end.
std::vector<bool> needed_values(const Graph& graph, std::vector<bool>& needed_nodes) {
  std::vector<bool> needed(graph.values.size(), false);
  for (const ValueId id : graph.outputs) needed[static_cast<size_t>(id)] = true;
  for (size_t n = graph.nodes.size(); n-- > 0;) {
    const Node& node = graph.nodes[n];
    const auto is_needed = [&](ValueId id) { return needed[static_cast<size_t>(id)]; };
    needed_nodes[n] = std::any_of(node.outputs.begin(), node.outputs.end(), is_needed);
    if (!needed_nodes[n]) continue;
    for (const ValueId id : node.outputs) needed[static_cast<size_t>(id)] = true;
    for (const ValueId id : node.inputs)
      if (id != kNoValue) needed[static_cast<size_t>(id)] = true;
  }
  for (const ValueId id : graph.inputs) needed[static_cast<size_t>(id)] = true;
  return needed;
}

}  // namespace

int64_t remove_dead(Graph& graph) {
  std::vector<bool> needed_nodes(graph.nodes.size());
  const std::vector<bool> needed = needed_values(graph, needed_nodes);
  std::vector<ValueId> number(graph.values.size(), kNoValue);
  std::vector<Value> values;
  for (size_t v = 0; v < graph.values.size(); ++v) {
    if (!needed[v]) continue;
    number[v] = static_cast<ValueId>(values.size());
    values.push_back(std::move(graph.values[v]));
  }
  graph.values = std::move(values);
  std::vector<Node> nodes;
  const auto renumber = [&](std::vector<ValueId>& ids) {
    for (ValueId& id : ids)
      if (id != kNoValue) id = number[static_cast<size_t>(id)];
  };
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (!needed_nodes[n]) continue;
    renumber(graph.nodes[n].inputs);
    renumber(graph.nodes[n].outputs);
    nodes.push_back(std::move(graph.nodes[n]));
  }
  const auto removed = static_cast<int64_t>(graph.nodes.size() - nodes.size());
  graph.nodes = std::move(nodes);
  renumber(graph.inputs);
  renumber(graph.outputs);
  for (AxisRule& axis : graph.axes) axis.value = number[static_cast<size_t>(axis.value)];
  return removed;
}

}  // namespace residua
