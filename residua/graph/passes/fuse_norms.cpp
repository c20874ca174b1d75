#include <algorithm>

#include "residua/graph/passes/passes.h"
#include "residua/graph/passes/product.h"

namespace residua {

namespace {

// x where `value` is its mean over the last axes, kept; `axes` says over how many.
ValueId mean_argument(Rewriter& r, ValueId value, int64_t& axes) {
  const Node* node = r.producer_of<op::Reduce>(value);
  if (node == nullptr) return kNoValue;
  const auto& reduce = std::get<op::Reduce>(node->operation);
  const auto rank = static_cast<int64_t>(r.graph().shape(node->inputs[0]).size());
  if (reduce.kind != ReduceKind::mean || !reduce.keep || reduce.axes.empty()) return kNoValue;
  std::vector<int64_t> sorted;
  for (const int64_t axis : reduce.axes) sorted.push_back(axis < 0 ? axis + rank : axis);
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i)
    if (sorted[sorted.size() - 1 - i] != rank - 1 - static_cast<int64_t>(i)) return kNoValue;
  axes = static_cast<int64_t>(sorted.size());
  return node->inputs[0];
}

// y where `value` is y squared: a square, y * y or y ^ 2.
ValueId squared_argument(Rewriter& r, ValueId value) {
  const Monomial product = product_of_value(r, value);
  const bool square = product.coefficient == 1 && product.factors.size() == 2 &&
                      product.factors[0] == product.factors[1];
  return square ? product.factors[0] : kNoValue;
}

// The x of y = x - mean(x), or kNoValue.
ValueId centred_argument(Rewriter& r, ValueId y, int64_t axes) {
  const Node* node = r.producer_of<op::Binary>(y);
  if (node == nullptr || std::get<op::Binary>(node->operation).kind != BinaryKind::subtract ||
      std::get<op::Binary>(node->operation).activation.kind != UnaryKind::none)
    return kNoValue;
  int64_t mean_axes = 0;
  const ValueId of = mean_argument(r, node->inputs[1], mean_axes);
  return of == node->inputs[0] && mean_axes == axes ? of : kNoValue;
}

struct Norm {
  ValueId x = kNoValue;
  op::LayerNorm settings;
};

// y and 1 / sqrt(mean(y^2) + eps), from a division by the root or a product with its inverse.
std::optional<Norm> norm_at(Rewriter& r, const Node& node) {
  const auto* binary = std::get_if<op::Binary>(&node.operation);
  if (binary == nullptr || binary->activation.kind != UnaryKind::none) return std::nullopt;
  for (const size_t i : {0, 1}) {
    const ValueId y = node.inputs[i], other = node.inputs[1 - i];
    ValueId root = kNoValue;
    if (binary->kind == BinaryKind::divide && i == 0) {
      root = argument_of(r, other, UnaryKind::sqrt);
    } else if (binary->kind == BinaryKind::multiply) {
      root = argument_of(r, other, UnaryKind::rsqrt);
      const ValueId inverse = argument_of(r, other, UnaryKind::reciprocal);
      if (inverse != kNoValue) root = argument_of(r, inverse, UnaryKind::sqrt);
    }
    if (root == kNoValue) continue;
    const auto shifted = shifted_value(r, root);
    int64_t axes = 0;
    const ValueId square = mean_argument(r, shifted ? shifted->x : root, axes);
    if (square == kNoValue || squared_argument(r, square) != y) continue;
    const ValueId x = centred_argument(r, y, axes);
    const double eps = shifted ? shifted->shift : 0;
    if (eps < 0) continue;
    return Norm{x == kNoValue ? y : x, {.axes = axes, .eps = eps, .rms = x == kNoValue}};
  }
  return std::nullopt;
}

// A product with (sum with) a constant of the normalised shape becomes the norm's weight (bias).
bool take_parameter(Rewriter& r, Node& node) {
  const auto* binary = std::get_if<op::Binary>(&node.operation);
  if (binary == nullptr || binary->activation.kind != UnaryKind::none) return false;
  const bool weight = binary->kind == BinaryKind::multiply;
  if (!weight && binary->kind != BinaryKind::add) return false;
  for (const size_t i : {0, 1}) {
    const ValueId value = node.inputs[i], parameter = node.inputs[1 - i];
    Node* norm = r.producer_of<op::LayerNorm>(value);
    if (norm == nullptr || r.readers(value) != 1 || !r.is_constant(parameter)) continue;
    const op::LayerNorm settings = std::get<op::LayerNorm>(norm->operation);
    const Shape& shape = r.graph().shape(value);
    const bool free = input_of(*norm, 2) == kNoValue && (!weight || input_of(*norm, 1) == kNoValue);
    if (!free || r.graph().shape(parameter) != Shape(shape.end() - settings.axes, shape.end()))
      continue;
    std::vector<ValueId> inputs = norm->inputs;
    inputs.resize(weight ? 1 : 2, kNoValue);
    inputs.push_back(parameter);
    if (!norm->name.empty()) node.name = norm->name;
    r.replace(node, settings, std::move(inputs));
    r.remove(*norm);
    return true;
  }
  return false;
}

}  // namespace

int64_t fuse_norms(Graph& graph) {
  Rewriter r(graph);
  int64_t changes = 0;
  for (Node& node : graph.nodes) {
    if (!node.rules.empty()) continue;
    if (take_parameter(r, node)) {
      ++changes;
    } else if (const auto norm = norm_at(r, node)) {
      r.replace(node, norm->settings, {norm->x});
      ++changes;
    }
  }
  return r.finish(changes);
}

}  // namespace residua
