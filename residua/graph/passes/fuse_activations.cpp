#include <algorithm>
#include <cmath>
#include <numbers>

#include "residua/graph/passes/passes.h"
#include "residua/graph/passes/product.h"

namespace residua {

namespace {

// z where `value` is 1 + f(z).
ValueId one_plus(Rewriter& r, ValueId value, UnaryKind f) {
  const auto shifted = shifted_value(r, value);
  return shifted && shifted->shift == 1 ? argument_of(r, shifted->x, f) : kNoValue;
}

// z = x / sqrt 2.
bool is_erf_argument(Rewriter& r, ValueId z, ValueId x) {
  const Scaled scaled = scaled_value(r, z);
  return scaled.x == x && about(scaled.coefficient, 1 / std::numbers::sqrt2);
}

// z = sqrt(2 / pi) (x + 0.044715 x^3).
bool is_tanh_argument(Rewriter& r, ValueId z, ValueId x) {
  const Scaled scaled = scaled_value(r, z);
  const Node* sum = r.producer_of<op::Binary>(scaled.x);
  if (sum == nullptr || std::get<op::Binary>(sum->operation).kind != BinaryKind::add ||
      std::get<op::Binary>(sum->operation).activation.kind != UnaryKind::none ||
      !about(scaled.coefficient, std::sqrt(2 / std::numbers::pi)))
    return false;
  for (const size_t i : {0, 1}) {
    const Monomial cube = product_of_value(r, sum->inputs[1 - i]);
    if (sum->inputs[i] == x && about(cube.coefficient, 0.044715) &&
        cube.factors == std::vector<ValueId>{x, x, x})
      return true;
  }
  return false;
}

// The function that coefficient * x * other is of x.
UnaryKind gated_function(Rewriter& r, double coefficient, ValueId x, ValueId other) {
  if (coefficient == 1) {
    if (argument_of(r, other, UnaryKind::sigmoid) == x) return UnaryKind::silu;
    if (argument_of(r, other, UnaryKind::hard_sigmoid) == x) return UnaryKind::hard_swish;
    const ValueId inner = argument_of(r, other, UnaryKind::tanh);
    const Node* softplus = r.producer_of<op::Unary>(inner);
    if (softplus != nullptr && argument_of(r, inner, UnaryKind::softplus) == x &&
        std::get<op::Unary>(softplus->operation).function.beta == 1)
      return UnaryKind::mish;
  }
  if (coefficient == 0.5) {
    const ValueId erf = one_plus(r, other, UnaryKind::erf);
    if (erf != kNoValue && is_erf_argument(r, erf, x)) return UnaryKind::gelu;
    const ValueId tanh = one_plus(r, other, UnaryKind::tanh);
    if (tanh != kNoValue && is_tanh_argument(r, tanh, x)) return UnaryKind::gelu_tanh;
  }
  return UnaryKind::none;
}

}  // namespace

int64_t fuse_activations(Graph& graph) {
  Rewriter r(graph);
  int64_t changes = 0;
  for (Node& node : graph.nodes) {
    const auto* binary = std::get_if<op::Binary>(&node.operation);
    if (binary == nullptr || !node.rules.empty() || binary->activation.kind != UnaryKind::none ||
        (binary->kind != BinaryKind::multiply && binary->kind != BinaryKind::divide))
      continue;
    const Monomial product = product_of_value(r, node.outputs[0]);
    if (product.factors.size() != 2) continue;
    for (const size_t i : {0, 1}) {
      const ValueId x = product.factors[i];
      const UnaryKind kind = gated_function(r, product.coefficient, x, product.factors[1 - i]);
      if (kind == UnaryKind::none || graph.value(x).type != graph.value(node.outputs[0]).type)
        continue;
      r.replace(node, op::Unary{{kind}}, {x});
      ++changes;
      break;
    }
  }
  return r.finish(changes);
}

}  // namespace residua
