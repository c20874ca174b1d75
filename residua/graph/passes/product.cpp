#include "residua/graph/passes/product.h"

#include <algorithm>
#include <cmath>

namespace residua {

namespace {

constexpr int kMaxTreeDepth = 8;

const op::Binary* plain_binary(const Node* node) {
  const auto* binary = node == nullptr ? nullptr : std::get_if<op::Binary>(&node->operation);
  return binary != nullptr && binary->activation.kind == UnaryKind::none ? binary : nullptr;
}

void collect_factors(Rewriter& r, ValueId value, int depth, Monomial& product) {
  const auto leaf = [&] { product.factors.push_back(value); };
  // A scalar only where it does not broadcast the other side to more axes.
  if (const auto number = r.scalar(value)) {
    product.coefficient *= *number;
    return;
  }
  const Node* node = r.producer(value);
  if (depth == 0 || node == nullptr || !node->rules.empty()) return leaf();
  const auto keeps_shape = [&](ValueId id) {
    return r.graph().shape(id) == r.graph().shape(value);
  };
  if (argument_of(r, value, UnaryKind::square) != kNoValue) {
    for (int i = 0; i < 2; ++i) collect_factors(r, node->inputs[0], depth - 1, product);
    return;
  }
  const op::Binary* binary = plain_binary(node);
  if (binary == nullptr) return leaf();
  const ValueId a = node->inputs[0], b = node->inputs[1];
  const auto right = r.scalar(b);
  switch (binary->kind) {
    case BinaryKind::multiply:
      if (!(keeps_shape(a) || r.scalar(a)) || !(keeps_shape(b) || right)) return leaf();
      collect_factors(r, a, depth - 1, product);
      return collect_factors(r, b, depth - 1, product);
    case BinaryKind::divide:
      if (!right || !keeps_shape(a)) return leaf();
      product.coefficient /= *right;
      return collect_factors(r, a, depth - 1, product);
    case BinaryKind::power: {
      if (!right || !keeps_shape(a) || (*right != 2 && *right != 3)) return leaf();
      for (int i = 0; i < static_cast<int>(*right); ++i) collect_factors(r, a, depth - 1, product);
      return;
    }
    default: return leaf();
  }
}

}  // namespace

Monomial product_of_value(Rewriter& r, ValueId value) {
  Monomial product;
  collect_factors(r, value, kMaxTreeDepth, product);
  std::sort(product.factors.begin(), product.factors.end());
  return product;
}

Scaled scaled_value(Rewriter& r, ValueId value) {
  const Monomial product = product_of_value(r, value);
  return product.factors.size() == 1 ? Scaled{product.coefficient, product.factors[0]}
                                     : Scaled{1, value};
}

std::optional<Shifted> shifted_value(Rewriter& r, ValueId value) {
  const Node* node = r.producer_of<op::Binary>(value);
  const op::Binary* binary = plain_binary(node);
  if (binary == nullptr || binary->kind != BinaryKind::add) return std::nullopt;
  for (const size_t i : {0, 1}) {
    const ValueId x = node->inputs[1 - i];
    const auto shift = r.scalar(node->inputs[i]);
    if (shift && r.graph().shape(x) == r.graph().shape(value)) return Shifted{x, *shift};
  }
  return std::nullopt;
}

ValueId argument_of(Rewriter& r, ValueId value, UnaryKind kind) {
  const Node* node = r.producer_of<op::Unary>(value);
  const bool is = node != nullptr && std::get<op::Unary>(node->operation).function.kind == kind;
  return is ? node->inputs[0] : kNoValue;
}

bool about(double a, double b) { return std::abs(a - b) <= 5e-7 * std::abs(b); }

}  // namespace residua
