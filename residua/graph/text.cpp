// Graphs as text.
#include <fmt/format.h>

#include "residua/graph/graph.h"

namespace residua {

namespace {

std::string name_in(const Graph& graph, ValueId id) {
  return id == kNoValue ? "-" : graph.value(id).name;
}

std::string names_in(const Graph& graph, const std::vector<ValueId>& ids) {
  std::string text;
  for (const ValueId id : ids) text += (text.empty() ? "" : ", ") + name_in(graph, id);
  return text;
}

std::string typed(const Value& value) {
  return fmt::format("{}: {} {}", value.name, to_string(value.type.dtype),
                     to_string(value.type.shape));
}

std::string rule_text(const SymbolRule& rule) {
  std::string text =
      rule.factor == 1 ? rule.symbol : fmt::format("{} * {}", rule.factor, rule.symbol);
  if (rule.offset != 0) text += fmt::format(" {:+}", rule.offset);
  return text;
}

// `stride=[2,2]` for each setting that differs from the default; those that follow a symbol say so.
std::string settings_text(const Node& node) {
  Operation copy = node.operation, fresh = make_operation(name_of(node.operation));
  const Json now = to_json(describe(copy)), then = to_json(describe(fresh));
  std::string text;
  for (const auto& [key, value] : now.items())
    if (value != then[key]) text += fmt::format(" {}={}", key, json_text(value));
  for (const NodeRule& rule : node.rules)
    text += fmt::format(" {}[{}]={}", rule.field, rule.index, rule_text(rule.rule));
  return text;
}

}  // namespace

std::string to_text(const Graph& graph) {
  std::string text;
  for (const auto& [name, symbol] : graph.symbols)
    text += fmt::format("symbol {} = {}\n", name, symbol.size);
  for (const ValueId id : graph.inputs) {
    text += fmt::format("input {}", typed(graph.value(id)));
    for (const AxisRule& axis : graph.axes)
      if (axis.value == id) text += fmt::format(" [{}]={}", axis.axis, rule_text(axis.rule));
    text += '\n';
  }
  for (const Node& node : graph.nodes) {
    for (size_t i = 0; i < node.outputs.size(); ++i)
      text += (i > 0 ? ", " : "") + typed(graph.value(node.outputs[i]));
    text += fmt::format(" = {}({}){}", name_of(node.operation), names_in(graph, node.inputs),
                        settings_text(node));
    if (!node.name.empty()) text += "  # " + node.name;
    text += '\n';
  }
  return text + fmt::format("output {}\n", names_in(graph, graph.outputs));
}

}  // namespace residua
