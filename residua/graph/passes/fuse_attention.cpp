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

// Whether the mask does nothing but hide later keys, at every size.
bool is_causal_mask(Rewriter& r, const std::optional<Graph>& other_sizes, ValueId mask,
                    ValueId scores) {
  if (const auto numbers = r.constant(mask)) return hides_the_future(*numbers);
  // Written as a triangle of minus infinity, which may follow the number of tokens.
  const Node* triangle = r.producer(mask);
  if (triangle == nullptr || !std::holds_alternative<op::Triangle>(triangle->operation))
    return false;
  const Node* fill = r.producer(triangle->inputs[0]);
  const auto* filled = fill == nullptr ? nullptr : std::get_if<op::Fill>(&fill->operation);
  if (filled == nullptr || filled->value > -1e30) return false;
  const auto hides = [&](const Graph& g, const Operation& operation) {
    const auto& o = std::get<op::Triangle>(operation);
    const Shape& shape = g.shape(scores);
    return o.upper && o.diagonal == shape.back() - shape[shape.size() - 2] + 1;
  };
  if (!hides(r.graph(), triangle->operation)) return false;
  if (r.graph().symbols.empty()) return true;
  if (!other_sizes) return false;
  for (const Node& node : other_sizes->nodes)
    if (node.outputs[0] == mask) return hides(*other_sizes, node.operation);
  return false;
}

// What one attention reads, as its pieces say it.
struct Pieces {
  ValueId query, keys, values, mask;
  ValueId scores;  // before softmax
  const Node* product;
  op::Attention settings;
  bool keys_transposed;  // by the product
};

std::optional<Pieces> pieces_of(Rewriter& r, Graph& g, const Node& node, size_t rank) {
  const auto* weighted = std::get_if<op::MatMul>(&node.operation);
  const auto has_rank = [&](const Node& n) {
    return g.shape(n.inputs[0]).size() == rank && g.shape(n.inputs[1]).size() == rank;
  };
  if (weighted == nullptr || !node.rules.empty() || weighted->transpose_a ||
      weighted->transpose_b || weighted->scale != 1 || !has_rank(node))
    return std::nullopt;
  const Node* softmax = r.producer_of<op::Softmax>(node.inputs[0]);
  if (softmax == nullptr || r.readers(node.inputs[0]) != 1 || r.readers(softmax->inputs[0]) != 1)
    return std::nullopt;
  const auto& settings = std::get<op::Softmax>(softmax->operation);
  if (settings.log || (settings.axis != -1 && settings.axis != static_cast<int64_t>(rank) - 1))
    return std::nullopt;
  const auto scores = scores_at(r, softmax->inputs[0]);
  if (!scores || r.readers(scores->product->outputs[0]) != 1 || !has_rank(*scores->product))
    return std::nullopt;
  const auto& product = std::get<op::MatMul>(scores->product->operation);
  if (product.transpose_a) return std::nullopt;
  return Pieces{scores->product->inputs[0],
                scores->product->inputs[1],
                node.inputs[1],
                scores->mask,
                softmax->inputs[0],
                scores->product,
                {.scale = product.scale * scores->scale},
                product.transpose_b};
}

// Whether attention takes these and gives the type of `output`.
bool gives(const Graph& g, const op::Attention& o, std::vector<TensorType> types, ValueId mask,
           ValueId output) {
  std::vector<std::optional<TensorType>> inputs(types.begin(), types.end());
  if (mask != kNoValue) inputs.push_back(g.value(mask).type);
  try {
    return infer(o, inputs).front() == g.value(output).type;
  } catch (const Error&) {
    return false;  // its axes broadcast as attention's do not
  }
}

// matmul(softmax(...), values) of four axes.
bool fuse_heads(Rewriter& r, Graph& g, const std::optional<Graph>& other_sizes, Node& node) {
  auto pieces = pieces_of(r, g, node, 4);
  if (!pieces) return false;
  op::Attention& attention = pieces->settings;
  TensorType keys = g.value(pieces->keys).type;
  if (!pieces->keys_transposed) std::swap(keys.shape[2], keys.shape[3]);
  attention.causal =
      pieces->mask != kNoValue && is_causal_mask(r, other_sizes, pieces->mask, pieces->scores);
  const ValueId mask = attention.causal ? kNoValue : pieces->mask;
  const std::vector<TensorType> types{g.value(pieces->query).type, keys,
                                      g.value(pieces->values).type};
  if (!gives(g, attention, types, mask, node.outputs[0])) return false;
  std::vector<ValueId> inputs{without_scale(r, pieces->query, attention.scale),
                              keys_of(r, node, *pieces->product), pieces->values};
  inputs[1] = without_scale(r, inputs[1], attention.scale);
  if (mask != kNoValue) inputs.push_back(mask);
  r.replace(node, attention, std::move(inputs));
  return true;
}

// y [N, heads, tokens, channels] where `flat` is y as [N heads, tokens, channels], at every size.
// Key heads that are repeated for groups of queries are taken from before that.
ValueId heads_behind(Rewriter& r, const std::optional<Graph>& other_sizes, ValueId flat) {
  const Node* reshape = r.producer(flat);
  if (reshape == nullptr || !std::holds_alternative<op::Reshape>(reshape->operation))
    return kNoValue;
  ValueId y = reshape->inputs[0];
  int64_t copies = 1;
  if (r.graph().shape(y).size() == 5) {  // [N, key heads, copies, tokens, channels]
    const Node* expand = r.producer(y);
    if (expand == nullptr || !std::holds_alternative<op::Expand>(expand->operation))
      return kNoValue;
    const Node* split = r.producer(expand->inputs[0]);
    const Shape& narrow = r.graph().shape(expand->inputs[0]);
    if (split == nullptr || !std::holds_alternative<op::Reshape>(split->operation) ||
        narrow.size() != 5 || narrow[2] != 1)
      return kNoValue;
    copies = r.graph().shape(y)[2];
    y = split->inputs[0];
  }
  const auto agrees = [&](const Graph& g) {
    const Shape &four = g.shape(y), &three = g.shape(flat);
    return four.size() == 4 && three == Shape{four[0] * four[1] * copies, four[2], four[3]};
  };
  if (!agrees(r.graph())) return kNoValue;
  if (r.graph().symbols.empty()) return y;
  const bool known = other_sizes && y < static_cast<ValueId>(other_sizes->values.size()) &&
                     flat < static_cast<ValueId>(other_sizes->values.size());
  return known && agrees(*other_sizes) ? y : kNoValue;
}

// The same with batch and heads in one axis, split again by a reshape: that becomes the attention.
bool fuse_flat(Rewriter& r, Graph& g, const std::optional<Graph>& other_sizes, Node& node) {
  if (!std::holds_alternative<op::Reshape>(node.operation) || r.readers(node.inputs[0]) != 1)
    return false;
  const Node* weighted = r.producer(node.inputs[0]);
  auto pieces = weighted == nullptr ? std::nullopt : pieces_of(r, g, *weighted, 3);
  if (!pieces) return false;
  op::Attention& attention = pieces->settings;
  ValueId keys = without_scale(r, pieces->keys, attention.scale);
  if (!pieces->keys_transposed) {
    const Node* transpose = r.producer_of<op::Transpose>(keys);
    if (transpose == nullptr ||
        std::get<op::Transpose>(transpose->operation).order != std::vector<int64_t>{0, 2, 1})
      return false;
    keys = without_scale(r, transpose->inputs[0], attention.scale);
  }
  const ValueId query = without_scale(r, pieces->query, attention.scale);
  std::vector<ValueId> inputs{heads_behind(r, other_sizes, query),
                              heads_behind(r, other_sizes, keys),
                              heads_behind(r, other_sizes, pieces->values)};
  for (const ValueId id : inputs)
    if (id == kNoValue) return false;
  attention.causal =
      pieces->mask != kNoValue && is_causal_mask(r, other_sizes, pieces->mask, pieces->scores);
  const ValueId mask = attention.causal ? kNoValue : pieces->mask;
  // A mask for each of [N heads] has no place among [N, heads].
  if (mask != kNoValue && g.shape(mask).size() > 2) return false;
  const auto fits = [&](const Graph& at) {
    return gives(at, attention,
                 {at.value(inputs[0]).type, at.value(inputs[1]).type, at.value(inputs[2]).type},
                 mask, node.outputs[0]);
  };
  if (!fits(g) || (!g.symbols.empty() && (!other_sizes || !fits(*other_sizes)))) return false;
  if (mask != kNoValue) inputs.push_back(mask);
  if (node.name.empty()) node.name = weighted->name;
  node.rules.clear();
  r.replace(node, attention, std::move(inputs));
  return true;
}

}  // namespace

int64_t fuse_attention(Graph& graph) {
  const std::optional<Graph> other_sizes = at_other_sizes(graph);
  Rewriter r(graph);
  int64_t changes = 0;
  for (Node& node : graph.nodes)
    if (fuse_heads(r, graph, other_sizes, node) || fuse_flat(r, graph, other_sizes, node))
      ++changes;
  return r.finish(changes);
}

}  // namespace residua
