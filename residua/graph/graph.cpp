#include "residua/graph/graph.h"

#include <fmt/format.h>

#include "residua/core/error.h"

namespace residua {

namespace {

Error error_at(const Error& error, const std::string& where) {
  ErrorText text = error.text();
  text.where = text.where.empty() ? where : fmt::format("{}: {}", where, text.where);
  return Error(error.kind(), text);
}

// Sets what follows symbols: axes of inputs, settings of nodes.
void follow_symbols(Graph& graph) {
  for (const AxisRule& axis : graph.axes) {
    const int64_t size = evaluate(graph, axis.rule);
    Value& input = graph.value(axis.value);
    if (size < 0)
      throw Error(ErrorKind::limit, {.where = input.name,
                                     .rule = fmt::format("axis {} would be negative", axis.axis),
                                     .received = fmt::format("{}", size)});
    input.type.shape.at(static_cast<size_t>(axis.axis)) = size;
  }
  for (Node& node : graph.nodes)
    for (const NodeRule& rule : node.rules)
      if (int64_t* number = find_integer(node.operation, rule.field, rule.index))
        *number = evaluate(graph, rule.rule);
}

}  // namespace

std::string label(const Graph& graph, const Node& node) {
  const auto known = [&](ValueId id) {
    return id >= 0 && id < static_cast<ValueId>(graph.values.size());
  };
  std::string name = node.name;
  if (name.empty() && !node.outputs.empty() && known(node.outputs.front()))
    name = graph.value(node.outputs.front()).name;
  return fmt::format("{} '{}'", name_of(node.operation), name);
}

std::vector<TensorType> infer(const Graph& graph, const Node& node) {
  std::vector<std::optional<TensorType>> inputs;
  for (const ValueId id : node.inputs)
    inputs.push_back(id == kNoValue ? std::nullopt : std::optional(graph.value(id).type));
  try {
    return infer(node.operation, inputs);
  } catch (const Error& error) {
    throw error_at(error, label(graph, node));
  }
}

int64_t evaluate(const Graph& graph, const SymbolRule& rule) {
  const auto symbol = graph.symbols.find(rule.symbol);
  if (symbol == graph.symbols.end())
    throw Error(ErrorKind::not_found, {.where = rule.symbol, .rule = "is no symbol of the graph"});
  int64_t number = 0;
  if (__builtin_mul_overflow(rule.factor, symbol->second.size, &number) ||
      __builtin_add_overflow(number, rule.offset, &number))
    throw Error(ErrorKind::limit, {.where = rule.symbol, .rule = "leads to more than 64 bits"});
  return number;
}

Graph with_sizes(const Graph& graph, const std::map<std::string, int64_t>& sizes) {
  Graph result = graph;
  for (const auto& [name, size] : sizes) {
    const auto symbol = result.symbols.find(name);
    if (symbol == result.symbols.end()) {
      std::vector<std::string> names;
      for (const auto& [known, unused] : result.symbols) names.push_back(known);
      const std::string hint = nearest_names_hint(name, names);
      throw Error(ErrorKind::not_found,
                  {.where = name, .rule = "is no symbol of the graph", .hint = hint});
    }
    if (size < symbol->second.min || size > symbol->second.max)
      throw Error(ErrorKind::limit,
                  {.where = name,
                   .rule = "has a size that the graph does not take",
                   .expected = fmt::format("{} to {}", symbol->second.min, symbol->second.max),
                   .received = fmt::format("{}", size)});
    symbol->second.size = size;
  }
  follow_symbols(result);
  for (const Node& node : result.nodes) {
    const std::vector<TensorType> types = infer(result, node);
    for (size_t i = 0; i < node.outputs.size() && i < types.size(); ++i)
      result.value(node.outputs[i]).type = types[i];
  }
  return result;
}

}  // namespace residua
