#include <cmath>
#include <limits>

#include "residua/core/error.h"
#include "residua/graph/passes/passes.h"
#include "residua/graph/passes/product.h"

namespace residua {

namespace {

// What leads from queries and keys to the softmax.
struct Scores {
  double scale = 1;
  ValueId mask = kNoValue;
  Node* product = nullptr;
};

// mask + scale * matmul(q, k^T), in the orders that occur.
std::optional<Scores> scores_at(Rewriter& r, ValueId value) {
  Scores scores;
  const Node* sum = r.producer_of<op::Binary>(value);
  if (sum != nullptr && std::get<op::Binary>(sum->operation).kind == BinaryKind::add &&
      std::get<op::Binary>(sum->operation).activation.kind == UnaryKind::none) {
    for (const size_t i : {0, 1}) {
      const Scaled scaled = scaled_value(r, sum->inputs[i]);
      Node* product = r.producer_of<op::MatMul>(scaled.x);
      if (product == nullptr || r.readers(sum->inputs[i]) != 1) continue;
      return Scores{scaled.coefficient, sum->inputs[1 - i], product};
    }
    return std::nullopt;
  }
  const Scaled scaled = scaled_value(r, value);
  scores.scale = scaled.coefficient;
  scores.product = r.producer_of<op::MatMul>(scaled.x);
  return scores.product == nullptr ? std::nullopt : std::optional(scores);
}

// A mask that hides exactly the keys after each query.
bool hides_the_future(const Numbers& mask) {
  const Shape& shape = mask.type.shape;
  if (shape.size() < 2) return false;
  const int64_t tokens = shape[shape.size() - 2], keys = shape.back();
  if (tokens < 2) return false;
  for (size_t i = 0; i < mask.data.size(); ++i) {
    const int64_t s = static_cast<int64_t>(i) % keys, t = static_cast<int64_t>(i) / keys % tokens;
    const bool later = s > t + keys - tokens;
    // The largest negative number of f32, and what lies near it, hides as infinity does.
    if (later ? mask.data[i] > -1e30 : mask.data[i] != 0) return false;
  }
  return true;
}

bool four_axes(const Graph& g, const Node& node) {
  return g.shape(node.inputs[0]).size() == 4 && g.shape(node.inputs[1]).size() == 4;
}

// The keys as [N, heads, tokens, channels]: as they are where the product transposed them, from
// before a transpose of the last two axes, or transposed back.
ValueId keys_of(Rewriter& r, Node& at, const Node& product) {
  const ValueId keys = product.inputs[1];
  if (std::get<op::MatMul>(product.operation).transpose_b) return keys;
  op::Transpose swap{{0, 1, 3, 2}};
  ValueId from = keys;
  if (const Node* transpose = r.producer_of<op::Transpose>(keys)) {
    std::vector<int64_t> order = std::get<op::Transpose>(transpose->operation).order;
    std::swap(order[2], order[3]);
    from = transpose->inputs[0];
    if (order == std::vector<int64_t>{0, 1, 2, 3}) return from;
    swap.order = std::move(order);
  }
  return r.insert_before(at, swap, {from}, r.graph().value(keys).name + ".keys");
}

// Query and keys may carry the scale; what does is left behind.
ValueId without_scale(Rewriter& r, ValueId value, double& scale) {
  const Scaled scaled = scaled_value(r, value);
  if (scaled.x == value || r.graph().value(scaled.x).type != r.graph().value(value).type)
    return value;
  scale *= scaled.coefficient;
  return scaled.x;
}

bool fuse_at(Rewriter& r, Graph& g, Node& node) {
  const auto* weighted = std::get_if<op::MatMul>(&node.operation);
  if (weighted == nullptr || !node.rules.empty() || weighted->transpose_a ||
      weighted->transpose_b || weighted->scale != 1 || !four_axes(g, node))
    return false;
  const Node* softmax = r.producer_of<op::Softmax>(node.inputs[0]);
  if (softmax == nullptr || r.readers(node.inputs[0]) != 1 || r.readers(softmax->inputs[0]) != 1)
    return false;
  const auto& settings = std::get<op::Softmax>(softmax->operation);
  if (settings.log || (settings.axis != -1 && settings.axis != 3)) return false;
  const auto scores = scores_at(r, softmax->inputs[0]);
  if (!scores || r.readers(scores->product->outputs[0]) != 1 || !four_axes(g, *scores->product))
    return false;
  const op::MatMul product = std::get<op::MatMul>(scores->product->operation);
  if (product.transpose_a) return false;
  op::Attention attention{.scale = product.scale * scores->scale};
  std::vector<std::optional<TensorType>> types;
  Shape keys = g.shape(scores->product->inputs[1]);
  if (!product.transpose_b) std::swap(keys[2], keys[3]);
  const TensorType& query = g.value(scores->product->inputs[0]).type;
  types = {query, TensorType{query.dtype, keys}, g.value(node.inputs[1]).type};
  ValueId mask = scores->mask;
  if (const auto numbers = r.constant(mask); numbers && hides_the_future(*numbers)) {
    attention.causal = true;
    mask = kNoValue;
  }
  if (mask != kNoValue) types.push_back(g.value(mask).type);
  try {
    if (infer(attention, types).front() != g.value(node.outputs[0]).type) return false;
  } catch (const Error&) {
    return false;  // its axes broadcast as attention's do not
  }
  std::vector<ValueId> inputs{without_scale(r, scores->product->inputs[0], attention.scale),
                              keys_of(r, node, *scores->product), node.inputs[1]};
  inputs[1] = without_scale(r, inputs[1], attention.scale);
  if (mask != kNoValue) inputs.push_back(mask);
  r.replace(node, attention, std::move(inputs));
  return true;
}

}  // namespace

int64_t fuse_attention(Graph& graph) {
  Rewriter r(graph);
  int64_t changes = 0;
  for (Node& node : graph.nodes)
    if (fuse_at(r, graph, node)) ++changes;
  return r.finish(changes);
}

}  // namespace residua
