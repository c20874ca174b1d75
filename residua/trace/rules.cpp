#include "residua/trace/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "residua/core/error.h"

namespace residua {

namespace {

struct Integer {
  std::string field;
  int64_t index = 0;
  int64_t* number = nullptr;
};

std::vector<Integer> integers_of(Operation& operation) {
  std::vector<Integer> all;
  const Fields fields = describe(operation);
  for (const Field& field : fields.list()) {
    if (auto* const* one = std::get_if<int64_t*>(&field.target)) {
      all.push_back({field.name, 0, *one});
    } else if (auto* const* list = std::get_if<std::vector<int64_t>*>(&field.target)) {
      for (size_t i = 0; i < (*list)->size(); ++i)
        all.push_back({field.name, static_cast<int64_t>(i), &(**list)[i]});
    }
  }
  return all;
}

[[noreturn]] void refuse(const Graph& graph, const Node& node, std::string rule) {
  throw Error(ErrorKind::unsupported, {.where = label(graph, node),
                                       .rule = std::move(rule),
                                       .hint = "trace it for this size alone"});
}

bool same_bytes(const Value& a, const Value& b) {
  const auto x = a.constant->bytes, y = b.constant->bytes;
  return x.size() == y.size() &&
         (x.data() == y.data() || std::equal(x.begin(), x.end(), y.begin()));
}

void check_same_structure(const Graph& graph, const SizedGraph& other) {
  const Graph& o = other.graph;
  const size_t count = std::min(graph.nodes.size(), o.nodes.size());
  for (size_t i = 0; i < count; ++i)
    if (graph.nodes[i].operation.index() != o.nodes[i].operation.index() ||
        graph.nodes[i].inputs != o.nodes[i].inputs || graph.nodes[i].outputs != o.nodes[i].outputs)
      refuse(graph, graph.nodes[i],
             fmt::format("the network does something else here when {} is {}", other.symbol,
                         other.size));
  if (graph.nodes.size() != o.nodes.size() || graph.values.size() != o.values.size())
    throw Error(ErrorKind::unsupported,
                {.where = other.symbol,
                 .rule = fmt::format("the network has other operations when it is {}", other.size),
                 .hint = "trace it for this size alone"});
  for (size_t i = 0; i < graph.values.size(); ++i)
    if (graph.values[i].constant.has_value() != o.values[i].constant.has_value() ||
        (graph.values[i].constant && !same_bytes(graph.values[i], o.values[i])))
      throw Error(
          ErrorKind::unsupported,
          {.where = graph.values[i].name,
           .rule = fmt::format("this constant differs when {} is {}", other.symbol, other.size),
           .hint = "trace it for this size alone"});
}

// The rule of one integer, given its number at the graph's sizes and with each symbol changed;
// nullopt where there is none. `follows`: it is not constant.
std::optional<SymbolRule> fit(const Graph& graph, int64_t number,
                              const std::vector<SizedGraph>& others,
                              const std::vector<int64_t>& numbers, bool& follows) {
  std::optional<SymbolRule> rule;
  follows = false;
  for (size_t i = 0; i < others.size(); ++i) {
    if (numbers[i] == number) continue;
    const int64_t size = graph.symbols.at(others[i].symbol).size;
    const int64_t step = others[i].size - size, rise = numbers[i] - number;
    if (follows || rise % step != 0) {
      follows = true;
      return std::nullopt;
    }
    follows = true;
    const int64_t factor = rise / step;
    rule = SymbolRule{others[i].symbol, factor, number - factor * size};
  }
  return rule;
}

void find_node_rules(Graph& graph, size_t index, std::vector<std::vector<Integer>>& changed,
                     const std::vector<SizedGraph>& others) {
  Node& node = graph.nodes[index];
  bool has_rest = false;
  std::vector<Integer> own = integers_of(node.operation);
  for (const auto& integers : changed)
    if (integers.size() != own.size())
      refuse(graph, node, "has another number of settings at another size");
  for (size_t k = 0; k < own.size(); ++k) {
    std::vector<int64_t> numbers;
    for (const auto& integers : changed) numbers.push_back(*integers[k].number);
    bool follows = false;
    const auto rule = fit(graph, *own[k].number, others, numbers, follows);
    if (rule) {
      node.rules.push_back({own[k].field, own[k].index, *rule});
    } else if (follows) {
      if (has_rest || !std::holds_alternative<op::Reshape>(node.operation))
        refuse(
            graph, node,
            fmt::format("{}[{}] follows the sizes in no simple way", own[k].field, own[k].index));
      has_rest = true;
      *own[k].number = -1;
    }
  }
}

}  // namespace

void find_rules(Graph& graph, const std::vector<SizedGraph>& others) {
  for (const SizedGraph& other : others) check_same_structure(graph, other);
  std::vector<Graph> copies;
  for (const SizedGraph& other : others) copies.push_back(other.graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    std::vector<std::vector<Integer>> changed;
    for (Graph& copy : copies) changed.push_back(integers_of(copy.nodes[i].operation));
    find_node_rules(graph, i, changed, others);
  }
}

}  // namespace residua
