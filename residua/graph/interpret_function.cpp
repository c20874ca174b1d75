// The interpreter's functions of one, two and three numbers, and quantisation.
#include <cmath>
#include <limits>
#include <numbers>

#include "residua/graph/interpret_rules.h"
#include "residua/graph/interpreter.h"

namespace residua {

namespace {

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

double softplus_of(double x, double beta) {
  return (std::fmax(beta * x, 0) + std::log1p(std::exp(-std::abs(beta * x)))) / beta;
}

double hard_sigmoid_of(double x) { return x <= -3 ? 0 : x >= 3 ? 1 : (x + 3) / 6; }

// "Self-Normalizing Neural Networks", arXiv:1706.02515, equation 14.
constexpr double kSeluAlpha = 1.6732632423543772848170429916717;
constexpr double kSeluScale = 1.0507009873554804934193349852946;

double binary_of(BinaryKind kind, double a, double b, bool whole) {
  switch (kind) {
    case BinaryKind::add: return a + b;
    case BinaryKind::subtract: return a - b;
    case BinaryKind::multiply: return a * b;
    case BinaryKind::divide: return whole ? std::trunc(a / b) : a / b;
    case BinaryKind::power: return std::pow(a, b);
    case BinaryKind::minimum: return std::isnan(b) ? b : minimum_of(a, b);
    case BinaryKind::maximum: return std::isnan(b) ? b : maximum_of(a, b);
    case BinaryKind::equal: return a == b;
    case BinaryKind::not_equal: return a != b;
    case BinaryKind::less: return a < b;
    case BinaryKind::less_equal: return a <= b;
    case BinaryKind::greater: return a > b;
    case BinaryKind::greater_equal: return a >= b;
    case BinaryKind::logical_and: return a != 0 && b != 0;
    case BinaryKind::logical_or: return a != 0 || b != 0;
    case BinaryKind::floor_divide: return std::floor(a / b);
    case BinaryKind::remainder: break;
  }
  const double rest = std::fmod(a, b);  // PyTorch's has the sign of the divisor
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

// Scale and zero point of each place of an axis.
struct Scales {
  const Numbers *scale, *zero;
  int64_t inner, size;

  Scales(const ReadInputs& in, int64_t axis) : scale(&in[1]), zero(in.find(2)) {
    const Shape& shape = in[0].type.shape;
    const bool one = scale->data.size() == 1;
    const int64_t a = axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis;
    inner = one ? 1 : product_of({shape.begin() + a + 1, shape.end()});
    size = one ? 1 : shape[static_cast<size_t>(a)];
  }
  size_t place(size_t i) const {
    return static_cast<size_t>(static_cast<int64_t>(i) / inner % size);
  }
  double scale_at(size_t i) const { return scale->data[place(i)]; }
  double zero_at(size_t i) const { return zero == nullptr ? 0 : zero->data[place(i)]; }
};

}  // namespace

double interpret(const op::Activation& f, double x) {
  constexpr double kRootHalf = 1 / std::numbers::sqrt2, kRootTwoOverPi = 0.79788456080286535588;
  switch (f.kind) {
    case UnaryKind::none: return x;
    case UnaryKind::relu: return x < 0 ? 0 : x;
    case UnaryKind::leaky_relu: return x < 0 ? f.alpha * x : x;
    case UnaryKind::elu: return x < 0 ? f.alpha * std::expm1(x) : x;
    case UnaryKind::selu: return kSeluScale * (x < 0 ? kSeluAlpha * std::expm1(x) : x);
    case UnaryKind::gelu: return 0.5 * x * (1 + std::erf(x * kRootHalf));
    case UnaryKind::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(kRootTwoOverPi * (x + 0.044715 * x * x * x)));
    case UnaryKind::silu: return x * sigmoid_of(x);
    case UnaryKind::sigmoid: return sigmoid_of(x);
    case UnaryKind::hard_sigmoid: return hard_sigmoid_of(x);
    case UnaryKind::hard_swish: return x * hard_sigmoid_of(x);
    case UnaryKind::tanh: return std::tanh(x);
    case UnaryKind::softplus: return softplus_of(x, f.beta);
    case UnaryKind::mish: return x * std::tanh(softplus_of(x, 1));
    case UnaryKind::clamp: return minimum_of(maximum_of(x, f.alpha), f.beta);
    case UnaryKind::exp: return std::exp(x);
    case UnaryKind::log: return std::log(x);
    case UnaryKind::log1p: return std::log1p(x);
    case UnaryKind::sqrt: return std::sqrt(x);
    case UnaryKind::rsqrt: return 1 / std::sqrt(x);
    case UnaryKind::square: return x * x;
    case UnaryKind::reciprocal: return 1 / x;
    case UnaryKind::negate: return -x;
    case UnaryKind::absolute: return std::abs(x);
    case UnaryKind::sign: return static_cast<double>((x > 0) - (x < 0));
    case UnaryKind::floor: return std::floor(x);
    case UnaryKind::ceil: return std::ceil(x);
    case UnaryKind::round: return std::nearbyint(x);  // ties to even
    case UnaryKind::sin: return std::sin(x);
    case UnaryKind::cos: return std::cos(x);
    case UnaryKind::erf: return std::erf(x);
    case UnaryKind::logical_not: return x == 0;
  }
  return x;
}

void compute(const op::Unary& o, const ReadInputs& in, Outputs& out) {
  for (size_t i = 0; i < in[0].data.size(); ++i)
    out[0].data[i] = interpret(o.function, in[0].data[i]);
}

void compute(const op::Binary& o, const ReadInputs& in, Outputs& out) {
  const Shape& shape = out[0].type.shape;
  const Shape of_a = broadcast_strides(in[0].type.shape, shape);
  const Shape of_b = broadcast_strides(in[1].type.shape, shape);
  const bool whole = is_integer(in[0].type.dtype);
  size_t at = 0;
  each_place(shape, [&](const Shape& index) {
    const double a = in[0].data[static_cast<size_t>(offset_of(index, of_a))];
    const double b = in[1].data[static_cast<size_t>(offset_of(index, of_b))];
    out[0].data[at++] = interpret(o.activation, binary_of(o.kind, a, b, whole));
  });
}

void compute(const op::Where&, const ReadInputs& in, Outputs& out) {
  const Shape& shape = out[0].type.shape;
  Shape strides[3];
  for (size_t i = 0; i < 3; ++i) strides[i] = broadcast_strides(in[i].type.shape, shape);
  size_t at = 0;
  each_place(shape, [&](const Shape& index) {
    const bool condition = in[0].data[static_cast<size_t>(offset_of(index, strides[0]))] != 0;
    const size_t chosen = condition ? 1 : 2;
    out[0].data[at++] = in[chosen].data[static_cast<size_t>(offset_of(index, strides[chosen]))];
  });
}

void compute(const op::Quantize& o, const ReadInputs& in, Outputs& out) {
  const Scales scales(in, o.axis);
  for (size_t i = 0; i < in[0].data.size(); ++i)
    out[0].data[i] =
        to_nearest(std::nearbyint(in[0].data[i] / scales.scale_at(i)) + scales.zero_at(i), o.dtype);
}

void compute(const op::Dequantize& o, const ReadInputs& in, Outputs& out) {
  const Scales scales(in, o.axis);
  for (size_t i = 0; i < in[0].data.size(); ++i)
    out[0].data[i] = (in[0].data[i] - scales.zero_at(i)) * scales.scale_at(i);
}

}  // namespace residua
