#include <algorithm>
#include <cmath>

#include "residua/graph/passes/passes.h"
#include "residua/graph/passes/rewriter.h"

namespace residua {

namespace {

// y = scale x + shift for each channel of `x`.
struct Affine {
  ValueId x;
  std::vector<double> scale, shift;

  bool shifts() const {
    return std::any_of(shift.begin(), shift.end(), [](double s) { return s != 0; });
  }
};

// A weighted operation that can take an affine map: the parts of conv, conv_transpose and linear
// that matter here.
struct Weighted {
  Node* node;
  int64_t channel_axis;  // of its input and output
  int64_t groups = 1;
  bool transposed = false, padded = false, plain = true;  // plain: nothing follows the bias
};

bool plain_end(const op::Activation& activation, const Node& node) {
  return activation.kind == UnaryKind::none && input_of(node, 3) == kNoValue;
}

std::optional<Weighted> weighted(const Rewriter& r, const Graph& g, Node* node) {
  if (node == nullptr || !node->rules.empty() || node->inputs.size() < 2 ||
      !r.is_constant(node->inputs[1]))
    return std::nullopt;
  const ValueId bias = input_of(*node, 2);
  if (bias != kNoValue && !r.is_constant(bias)) return std::nullopt;
  const auto pads = [](const std::vector<int64_t>& p) {
    return std::any_of(p.begin(), p.end(), [](int64_t n) { return n != 0; });
  };
  if (const auto* conv = std::get_if<op::Conv>(&node->operation))
    return Weighted{
        node, 1, conv->groups, false, pads(conv->padding), plain_end(conv->activation, *node)};
  // Every place that a transposed convolution gives must see every tap for a shift to be uniform.
  if (const auto* up = std::get_if<op::ConvTranspose>(&node->operation))
    return Weighted{node, 1, up->groups, true, true, true};
  if (const auto* linear = std::get_if<op::Linear>(&node->operation))
    return Weighted{node,  static_cast<int64_t>(g.shape(node->inputs[0]).size()) - 1,
                    1,     false,
                    false, plain_end(linear->activation, *node)};
  return std::nullopt;
}

// The numbers of a constant that has one for each channel (or one in all) when it is broadcast
// against `shape`; none where it varies along another axis.
std::optional<std::vector<double>> per_channel(const Rewriter& r, const Graph& g, ValueId id,
                                               const Shape& shape, int64_t axis) {
  if (!r.is_constant(id)) return std::nullopt;
  const Shape& own = g.shape(id);
  const auto channels = static_cast<size_t>(shape[static_cast<size_t>(axis)]);
  if (own.size() > shape.size()) return std::nullopt;
  for (size_t i = 0; i < own.size(); ++i) {
    const size_t at = shape.size() - own.size() + i;
    if (own[i] != 1 && (static_cast<int64_t>(at) != axis || own[i] != shape[at]))
      return std::nullopt;
  }
  std::vector<double> numbers = r.constant(id)->data;
  if (numbers.size() == 1) numbers.assign(channels, numbers[0]);
  return numbers.size() == channels ? std::optional(numbers) : std::nullopt;
}

std::optional<Affine> affine_norm(const Rewriter& r, const Graph& g, const Node& node,
                                  int64_t axis) {
  const auto* norm = std::get_if<op::BatchNorm>(&node.operation);
  if (norm == nullptr || axis != 1) return std::nullopt;
  const auto mean = r.constant(node.inputs[1]), variance = r.constant(node.inputs[2]);
  const auto weight = r.constant(input_of(node, 3)), bias = r.constant(input_of(node, 4));
  if (!mean || !variance || (input_of(node, 3) != kNoValue && !weight) ||
      (input_of(node, 4) != kNoValue && !bias))
    return std::nullopt;
  Affine a{node.inputs[0], {}, {}};
  for (size_t c = 0; c < static_cast<size_t>(g.shape(node.inputs[0])[1]); ++c) {
    const double scale = (weight ? weight->data[c] : 1) / std::sqrt(variance->data[c] + norm->eps);
    a.scale.push_back(scale);
    a.shift.push_back((bias ? bias->data[c] : 0) - mean->data[c] * scale);
  }
  return a;
}

std::optional<Affine> affine_binary(const Rewriter& r, const Graph& g, const Node& node,
                                    int64_t axis) {
  const auto* binary = std::get_if<op::Binary>(&node.operation);
  if (binary == nullptr || binary->activation.kind != UnaryKind::none) return std::nullopt;
  const bool constant_first = r.is_constant(node.inputs[0]);
  const ValueId x = node.inputs[constant_first ? 1 : 0];
  const Shape& shape = g.shape(x);
  if (shape != g.shape(node.outputs[0])) return std::nullopt;
  const auto c = per_channel(r, g, node.inputs[constant_first ? 0 : 1], shape, axis);
  if (!c) return std::nullopt;
  const std::vector<double> ones(c->size(), 1), zeros(c->size(), 0);
  std::vector<double> changed = *c;
  switch (binary->kind) {
    case BinaryKind::add: return Affine{x, ones, *c};
    case BinaryKind::multiply: return Affine{x, *c, zeros};
    case BinaryKind::subtract:
      if (constant_first) return Affine{x, std::vector<double>(c->size(), -1), *c};
      for (double& n : changed) n = -n;
      return Affine{x, ones, changed};
    case BinaryKind::divide:
      if (constant_first) return std::nullopt;
      for (double& n : changed) n = 1 / n;
      return Affine{x, changed, zeros};
    default: return std::nullopt;
  }
}

std::optional<Affine> affine_of(const Rewriter& r, const Graph& g, const Node& node, int64_t axis) {
  if (!node.rules.empty()) return std::nullopt;
  auto norm = affine_norm(r, g, node, axis);
  return norm ? norm : affine_binary(r, g, node, axis);
}

// Output and input channel of each element of a weight.
template <class Visit>
void each_weight(const Weighted& w, const Shape& shape, Visit visit) {
  int64_t inner = 1, at = 0;
  for (size_t i = 2; i < shape.size(); ++i) inner *= shape[i];
  for (int64_t a = 0; a < shape[0]; ++a) {
    for (int64_t b = 0; b < shape[1]; ++b) {
      const int64_t group = a / std::max<int64_t>(shape[0] / w.groups, 1);
      const int64_t out = w.transposed ? group * shape[1] + b : a;
      const int64_t in = w.transposed ? a : group * shape[1] + b;
      for (int64_t i = 0; i < inner; ++i)
        visit(static_cast<size_t>(at++), static_cast<size_t>(out), static_cast<size_t>(in));
    }
  }
}

Numbers bias_of(const Rewriter& r, const Graph& g, const Weighted& w, size_t outputs) {
  if (auto bias = r.constant(input_of(*w.node, 2))) return *std::move(bias);
  return {{g.value(w.node->inputs[1]).type.dtype, {static_cast<int64_t>(outputs)}},
          std::vector<double>(outputs, 0)};
}

void set_weights(Rewriter& r, Node& node, const Weighted& w, const Numbers& weight,
                 const Numbers& bias) {
  const std::string weight_name = r.graph().value(w.node->inputs[1]).name;
  std::vector<ValueId> inputs{w.node->inputs[0], r.add_constant(weight_name + ".folded", weight),
                              r.add_constant(weight_name + ".bias", bias)};
  if (input_of(*w.node, 3) != kNoValue) inputs.push_back(w.node->inputs[3]);
  Operation operation = w.node->operation;
  r.replace(node, std::move(operation), std::move(inputs));
}

// scale (W x + b) + shift = (scale W) x + (scale b + shift), in the place of the affine node.
bool fold_after(Rewriter& r, Graph& g, Node& node) {
  if (node.inputs.empty()) return false;
  for (const ValueId candidate : node.inputs) {
    const auto w = weighted(r, g, r.producer(candidate));
    if (!w || !w->plain || r.readers(candidate) != 1) continue;
    const auto affine = affine_of(r, g, node, w->channel_axis);
    if (!affine || affine->x != candidate) continue;
    Numbers weight = *r.constant(w->node->inputs[1]);
    Numbers bias = bias_of(r, g, *w, affine->scale.size());
    each_weight(*w, weight.type.shape,
                [&](size_t at, size_t out, size_t) { weight.data[at] *= affine->scale[out]; });
    for (size_t c = 0; c < bias.data.size(); ++c)
      bias.data[c] = bias.data[c] * affine->scale[c] + affine->shift[c];
    Node* before = w->node;
    const std::string name = before->name;
    set_weights(r, node, *w, weight, bias);
    node.name = name;
    r.remove(*before);
    return true;
  }
  return false;
}

// W (scale x + shift) + b = (W scale) x + (W shift + b), where every tap sees an element.
bool fold_before(Rewriter& r, Graph& g, Node& node) {
  const auto w = weighted(r, g, &node);
  if (!w) return false;
  Node* before = r.producer(node.inputs[0]);
  if (before == nullptr || r.readers(node.inputs[0]) != 1) return false;
  const auto affine = affine_of(r, g, *before, w->channel_axis);
  if (!affine || (w->padded && affine->shifts())) return false;
  Numbers weight = *r.constant(node.inputs[1]);
  Numbers bias =
      bias_of(r, g, *w,
              static_cast<size_t>(g.shape(node.outputs[0])[static_cast<size_t>(w->channel_axis)]));
  each_weight(*w, weight.type.shape, [&](size_t at, size_t out, size_t in) {
    if (!w->transposed) bias.data[out] += weight.data[at] * affine->shift[in];
    weight.data[at] *= affine->scale[in];
  });
  set_weights(r, node, *w, weight, bias);
  std::vector<ValueId> inputs = node.inputs;
  inputs[0] = affine->x;
  Operation same = node.operation;
  r.replace(node, std::move(same), std::move(inputs));
  r.remove(*before);
  return true;
}

}  // namespace

int64_t fold_affine(Graph& graph) {
  Rewriter r(graph);
  int64_t changes = 0;
  for (Node& node : graph.nodes)
    if (fold_after(r, graph, node)) ++changes;
  for (size_t n = 0; n < graph.nodes.size(); ++n)
    while (!r.removed(n) && fold_before(r, graph, graph.nodes[n])) ++changes;
  return r.finish(changes);
}

}  // namespace residua
