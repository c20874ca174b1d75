#include <algorithm>

#include "residua/graph/passes/passes.h"
#include "residua/graph/passes/rewriter.h"

namespace residua {

namespace {

bool zero_everywhere(const std::vector<int64_t>& numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](int64_t n) { return n == 0; });
}

bool in_order(const std::vector<int64_t>& order) {
  for (size_t i = 0; i < order.size(); ++i)
    if (order[i] != static_cast<int64_t>(i)) return false;
  return true;
}

// True where the operation gives back its first input at every size.
struct DoesNothing {
  const Graph& graph;
  const std::optional<Graph>& other_sizes;
  const Node& node;

  bool same_shape() const {
    return same_type_at_every_size(graph, other_sizes, node.inputs[0], node.outputs[0]);
  }
  bool operator()(const op::Unary& o) const { return o.function.kind == UnaryKind::none; }
  bool operator()(const op::Cast& o) const {
    return graph.value(node.inputs[0]).type.dtype == o.dtype;
  }
  bool operator()(const op::Reshape&) const { return same_shape(); }
  bool operator()(const op::Expand&) const { return same_shape(); }
  bool operator()(const op::Resize&) const { return same_shape(); }
  bool operator()(const op::Slice& o) const {
    return (o.start == 0 && o.end == INT64_MAX && o.step == 1) || (o.step == 1 && same_shape());
  }
  bool operator()(const op::Transpose& o) const { return in_order(o.order); }
  bool operator()(const op::Pad& o) const { return zero_everywhere(o.padding); }
  bool operator()(const op::Concat&) const { return node.inputs.size() == 1; }
  template <class Other>
  bool operator()(const Other&) const {
    return false;
  }
};

// A reshape of a reshape needs only the last; transposes combine.
bool join_with_producer(Rewriter& r, Node& node) {
  if (const auto* outer = std::get_if<op::Transpose>(&node.operation)) {
    const Node* before = r.producer_of<op::Transpose>(node.inputs[0]);
    if (before == nullptr) return false;
    op::Transpose both;
    for (const int64_t axis : outer->order)
      both.order.push_back(
          std::get<op::Transpose>(before->operation).order[static_cast<size_t>(axis)]);
    r.replace(node, both, {before->inputs[0]});
    return true;
  }
  if (!std::holds_alternative<op::Reshape>(node.operation)) return false;
  const Node* before = r.producer(node.inputs[0]);
  if (before == nullptr || !std::holds_alternative<op::Reshape>(before->operation)) return false;
  Operation same = node.operation;  // its own rules, which do not speak of its input, stay
  r.replace(node, std::move(same), {before->inputs[0]});
  return true;
}

}  // namespace

int64_t remove_identities(Graph& graph) {
  const std::optional<Graph> other_sizes = at_other_sizes(graph);
  Rewriter r(graph);
  int64_t changes = 0;
  for (Node& node : graph.nodes) {
    if (join_with_producer(r, node)) ++changes;
    if (node.inputs.empty() || node.inputs[0] == kNoValue || !node.rules.empty()) continue;
    if (!std::visit(DoesNothing{graph, other_sizes, node}, node.operation)) continue;
    if (!r.redirect(node.outputs[0], node.inputs[0])) continue;
    r.remove(node);
    ++changes;
  }
  return r.finish(changes);
}

}  // namespace residua
