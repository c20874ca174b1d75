#include <algorithm>

#include "residua/graph/passes/passes.h"
#include "residua/graph/passes/rewriter.h"

namespace residua {

namespace {

op::Activation* activation_of(Operation& operation) {
  if (auto* conv = std::get_if<op::Conv>(&operation)) return &conv->activation;
  if (auto* linear = std::get_if<op::Linear>(&operation)) return &linear->activation;
  if (auto* binary = std::get_if<op::Binary>(&operation)) return &binary->activation;
  return nullptr;
}

// Puts the node that makes `value` in the place of its only reader.
bool merge(Rewriter& r, Node& reader, Node& maker, Operation operation,
           std::vector<ValueId> inputs) {
  if (!maker.name.empty()) reader.name = maker.name;
  r.replace(reader, std::move(operation), std::move(inputs));
  r.remove(maker);
  return true;
}

// f(conv(x)) with one reader between.
bool fuse_function(Rewriter& r, Node& node) {
  const auto* unary = std::get_if<op::Unary>(&node.operation);
  const bool activates = unary != nullptr && unary->function.kind <= UnaryKind::clamp;
  if (!activates || r.readers(node.inputs[0]) != 1) return false;
  Node* maker = r.producer(node.inputs[0]);
  if (maker == nullptr || !maker->rules.empty()) return false;
  Operation operation = maker->operation;
  op::Activation* activation = activation_of(operation);
  if (activation == nullptr || activation->kind != UnaryKind::none) return false;
  *activation = unary->function;
  return merge(r, node, *maker, std::move(operation), maker->inputs);
}

// conv(x) + y, both of one shape at every size.
bool fuse_summand(Rewriter& r, Node& node, const std::optional<Graph>& other_sizes) {
  const auto* sum = std::get_if<op::Binary>(&node.operation);
  if (sum == nullptr || sum->kind != BinaryKind::add) return false;
  if (!same_type_at_every_size(r.graph(), other_sizes, node.inputs[0], node.inputs[1]))
    return false;
  for (const size_t i : {0, 1}) {
    const ValueId value = node.inputs[i], other = node.inputs[1 - i];
    if (r.readers(value) != 1) continue;
    Node* maker = r.producer(value);
    if (maker == nullptr || !maker->rules.empty() || input_of(*maker, 3) != kNoValue) continue;
    const bool takes = std::holds_alternative<op::Conv>(maker->operation) ||
                       std::holds_alternative<op::Linear>(maker->operation);
    if (!takes || activation_of(maker->operation)->kind != UnaryKind::none) continue;
    std::vector<ValueId> inputs = maker->inputs;
    inputs.resize(3, kNoValue);
    inputs.push_back(other);
    Operation operation = maker->operation;
    *activation_of(operation) = sum->activation;
    return merge(r, node, *maker, std::move(operation), std::move(inputs));
  }
  return false;
}

}  // namespace

int64_t fuse_epilogues(Graph& graph) {
  const std::optional<Graph> other_sizes = at_other_sizes(graph);
  Rewriter r(graph);
  int64_t changes = 0;
  for (Node& node : graph.nodes)
    if (node.rules.empty() && (fuse_summand(r, node, other_sizes) || fuse_function(r, node)))
      ++changes;
  return r.finish(changes);
}

}  // namespace residua
