#include <algorithm>

#include "residua/graph/passes/passes.h"
#include "residua/graph/passes/rewriter.h"

namespace residua {

namespace {

bool all_are(const std::vector<int64_t>& numbers, int64_t number) {
  return std::all_of(numbers.begin(), numbers.end(), [=](int64_t n) { return n == number; });
}

bool same_function(const op::Activation& a, const op::Activation& b) {
  return a.kind == b.kind && a.alpha == b.alpha && a.beta == b.beta;
}

// A 1x1 convolution that changes only channels.
bool is_pointwise(const Graph& g, const Node& node) {
  const auto& conv = std::get<op::Conv>(node.operation);
  const Shape& weight = g.shape(node.inputs[1]);
  return weight.size() == 4 && weight[2] == 1 && weight[3] == 1 && conv.groups == 1 &&
         all_are(conv.stride, 1) && all_are(conv.padding, 0);
}

// A grouped convolution of a square kernel, the same along both axes.
bool is_grouped(const Graph& g, const Node& node) {
  const auto& conv = std::get<op::Conv>(node.operation);
  const Shape& weight = g.shape(node.inputs[1]);
  return weight.size() == 4 && weight[2] == weight[3] && weight[2] > 1 && conv.groups > 1 &&
         all_are(conv.stride, conv.stride[0]) && all_are(conv.padding, conv.padding[0]) &&
         all_are(conv.dilation, 1);
}

ValueId bias_or_zeros(Rewriter& r, const Node& conv) {
  const ValueId bias = input_of(conv, 2);
  if (bias != kNoValue) return bias;
  const TensorType& weight = r.graph().value(conv.inputs[1]).type;
  const Numbers zeros{{weight.dtype, {weight.shape[0]}},
                      std::vector<double>(static_cast<size_t>(weight.shape[0]), 0)};
  return r.add_constant(r.graph().value(conv.inputs[1]).name + ".bias", zeros);
}

bool fuse_block_at(Rewriter& r, Graph& g, Node& project, const WantsBlock& wanted) {
  if (!project.rules.empty() || !std::holds_alternative<op::Conv>(project.operation)) return false;
  Node* middle = r.producer_of<op::Conv>(project.inputs[0]);
  Node* first = middle == nullptr ? nullptr : r.producer_of<op::Conv>(middle->inputs[0]);
  if (first == nullptr || r.readers(project.inputs[0]) != 1 || r.readers(middle->inputs[0]) != 1 ||
      input_of(*middle, 3) != kNoValue || input_of(*first, 3) != kNoValue)
    return false;
  const auto& f = std::get<op::Conv>(first->operation);
  const auto& m = std::get<op::Conv>(middle->operation);
  const auto& p = std::get<op::Conv>(project.operation);
  const bool conv_first =
      is_grouped(g, *first) && is_pointwise(g, *middle) && f.activation.kind == UnaryKind::none;
  const bool inverted = is_pointwise(g, *first) && is_grouped(g, *middle) &&
                        same_function(f.activation, m.activation);
  const ValueId summand = input_of(project, 3);
  if (!(conv_first || inverted) || !is_pointwise(g, project) ||
      p.activation.kind != UnaryKind::none || (summand != kNoValue && summand != first->inputs[0]))
    return false;
  if (wanted && !wanted(g, {first, middle, &project})) return false;
  const op::Conv& grouped = conv_first ? f : m;
  const op::FusedBlock block{.conv_first = conv_first,
                             .residual = summand != kNoValue,
                             .stride = grouped.stride[0],
                             .padding = grouped.padding[0],
                             .groups = grouped.groups,
                             .activation = m.activation};
  std::vector<ValueId> inputs{first->inputs[0]};
  for (const Node* conv : {static_cast<const Node*>(first), static_cast<const Node*>(middle),
                           static_cast<const Node*>(&project)}) {
    inputs.push_back(conv->inputs[1]);
    inputs.push_back(bias_or_zeros(r, *conv));
  }
  r.replace(project, block, std::move(inputs));
  r.remove(*middle);
  r.remove(*first);
  return true;
}

}  // namespace

int64_t fuse_blocks(Graph& graph) { return fuse_blocks(graph, {}); }

int64_t fuse_blocks(Graph& graph, const WantsBlock& wanted) {
  Rewriter r(graph);
  int64_t changes = 0;
  for (Node& node : graph.nodes)
    if (fuse_block_at(r, graph, node, wanted)) ++changes;
  return r.finish(changes);
}

}  // namespace residua
