// Functions of single numbers, with broadcasting.
#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "residua/trace/lowering.h"

namespace residua {

namespace {

ValueId function(TraceLowering& l, UnaryKind kind, ValueId x, double alpha = 0, double beta = 0) {
  return l.add(op::Unary{{kind, alpha, beta}}, {x});
}

// Integers become floating-point first, as libtorch's functions do.
ValueId in_result_type(TraceLowering& l, size_t i) {
  return l.cast(l.tensor(i), dtype_of(l.result().scalar_type()));
}

template <UnaryKind kind>
void lower_function(TraceLowering& l) {
  l.give(function(l, kind, in_result_type(l, 0)));
}

void lower_gelu(TraceLowering& l) {
  const bool tanh = l.has(1) && l.text(1) == "tanh";
  l.give(function(l, tanh ? UnaryKind::gelu_tanh : UnaryKind::gelu, l.tensor(0)));
}

void lower_elu(TraceLowering& l) {
  if (l.number(2) != 1 || l.number(3) != 1) l.unsupported("has scales other than 1");
  l.give(function(l, UnaryKind::elu, l.tensor(0), l.number(1)));
}

void lower_leaky_relu(TraceLowering& l) {
  l.give(function(l, UnaryKind::leaky_relu, l.tensor(0), l.number(1)));
}

void lower_softplus(TraceLowering& l) {
  l.give(function(l, UnaryKind::softplus, l.tensor(0), 0, l.number(1)));
}

// -softplus(-x)
void lower_log_sigmoid(TraceLowering& l) {
  const ValueId negated = function(l, UnaryKind::negate, l.tensor(0));
  l.give(function(l, UnaryKind::negate, function(l, UnaryKind::softplus, negated, 0, 1)));
}

void lower_relu6(TraceLowering& l) { l.give(function(l, UnaryKind::clamp, l.tensor(0), 0, 6)); }

// (self, [min], [max])
void lower_clamp(TraceLowering& l) {
  if (l.is_tensor(1) || l.is_tensor(2)) l.unsupported("has tensors for bounds");
  const double infinity = std::numeric_limits<double>::infinity();
  l.give(function(l, UnaryKind::clamp, in_result_type(l, 0), l.has(1) ? l.number(1) : -infinity,
                  l.has(2) ? l.number(2) : infinity));
}

void lower_clamp_min(TraceLowering& l) {
  l.give(function(l, UnaryKind::clamp, in_result_type(l, 0), l.number(1),
                  std::numeric_limits<double>::infinity()));
}

void lower_clamp_max(TraceLowering& l) {
  l.give(function(l, UnaryKind::clamp, in_result_type(l, 0),
                  -std::numeric_limits<double>::infinity(), l.number(1)));
}

// Argument i, a tensor or a number, as a value of this type.
ValueId operand(TraceLowering& l, size_t i, DType dtype) {
  return l.is_tensor(i) ? l.cast(l.tensor(i), dtype) : l.scalar(l.number(i), dtype);
}

at::ScalarType common_type(TraceLowering& l, size_t a, size_t b) {
  if (!l.is_tensor(b)) {
    const at::ScalarType type = l.example(a).scalar_type();
    const double number = l.number(b);
    return at::isIntegralType(type, true) && number != std::floor(number) ? at::kFloat : type;
  }
  if (!l.is_tensor(a)) return l.example(b).scalar_type();
  return at::result_type(l.example(a), l.example(b));
}

template <BinaryKind kind>
void lower_arithmetic(TraceLowering& l) {
  const DType dtype = dtype_of(l.result().scalar_type());
  l.give(l.add(op::Binary{.kind = kind}, {operand(l, 0, dtype), operand(l, 1, dtype)}));
}

template <BinaryKind kind>
void lower_comparison(TraceLowering& l) {
  const DType dtype = dtype_of(common_type(l, 0, 1));
  l.give(l.add(op::Binary{.kind = kind}, {operand(l, 0, dtype), operand(l, 1, dtype)}));
}

// (a, b, alpha): a + alpha b; `reversed`: b - alpha a
template <BinaryKind kind, bool reversed>
void lower_sum(TraceLowering& l) {
  const DType dtype = dtype_of(l.result().scalar_type());
  const size_t first = reversed ? 1 : 0, second = reversed ? 0 : 1;
  const double alpha = l.has(2) ? l.number(2) : 1;
  ValueId b = operand(l, second, dtype);
  if (alpha != 1) b = l.add(op::Binary{.kind = BinaryKind::multiply}, {b, l.scalar(alpha, dtype)});
  l.give(l.add(op::Binary{.kind = kind}, {operand(l, first, dtype), b}));
}

void lower_divide(TraceLowering& l) {
  const DType dtype = dtype_of(l.result().scalar_type());
  const bool floors = l.has(2) && l.text(2) == "floor";
  if (l.has(2) && !floors) l.unsupported("rounds towards zero");
  l.give(l.add(op::Binary{.kind = floors ? BinaryKind::floor_divide : BinaryKind::divide},
               {operand(l, 0, dtype), operand(l, 1, dtype)}));
}

// self + value a b (or a / b)
template <BinaryKind kind>
void lower_addc(TraceLowering& l) {
  const DType dtype = dtype_of(l.result().scalar_type());
  ValueId term = l.add(op::Binary{.kind = kind}, {l.tensor(1), l.tensor(2)});
  if (l.has(3) && l.number(3) != 1)
    term = l.add(op::Binary{.kind = BinaryKind::multiply}, {term, l.scalar(l.number(3), dtype)});
  l.give(l.add(op::Binary{}, {l.tensor(0), term}));
}

// [n], [m] to [n, m]
void lower_outer(TraceLowering& l) {
  const auto sizes = l.result().sizes();
  const DType dtype = dtype_of(l.result().scalar_type());
  l.give(l.add(op::Binary{.kind = BinaryKind::multiply},
               {l.reshape(l.cast(l.tensor(0), dtype), {sizes[0], 1}),
                l.reshape(l.cast(l.tensor(1), dtype), {1, sizes[1]})}));
}

void lower_where(TraceLowering& l) {
  const DType dtype = dtype_of(l.result().scalar_type());
  l.give(l.add(op::Where{},
               {l.cast(l.tensor(0), DType::boolean), operand(l, 1, dtype), operand(l, 2, dtype)}));
}

void lower_masked_fill(TraceLowering& l) {
  l.give(l.add(op::Where{}, {l.tensor(1), operand(l, 2, l.dtype(l.tensor(0))), l.tensor(0)}));
}

void lower_to(TraceLowering& l) { l.give(l.cast(l.tensor(0), dtype_of(l.result().scalar_type()))); }

void lower_same(TraceLowering& l) { l.give(l.tensor(0)); }

void lower_dropout(TraceLowering& l) {
  if (l.flag(2)) l.unsupported("is in training mode; call eval() first");
  lower_same(l);
}

// self takes the numbers of another tensor.
void lower_copy(TraceLowering& l) {
  ValueId y = l.cast(l.tensor(1), dtype_of(l.result().scalar_type()));
  const auto sizes = l.result().sizes();
  if (at::IntArrayRef(l.shape(y)) != sizes) y = l.add(op::Expand{sizes.vec()}, {y});
  l.give(y);
}

}  // namespace

std::vector<LowerEntry> number_lowerings() {
  return {{"relu", lower_function<UnaryKind::relu>},
          {"silu", lower_function<UnaryKind::silu>},
          {"sigmoid", lower_function<UnaryKind::sigmoid>},
          {"tanh", lower_function<UnaryKind::tanh>},
          {"hardsigmoid", lower_function<UnaryKind::hard_sigmoid>},
          {"hardswish", lower_function<UnaryKind::hard_swish>},
          {"selu", lower_function<UnaryKind::selu>},
          {"mish", lower_function<UnaryKind::mish>},
          {"exp", lower_function<UnaryKind::exp>},
          {"log", lower_function<UnaryKind::log>},
          {"log1p", lower_function<UnaryKind::log1p>},
          {"sqrt", lower_function<UnaryKind::sqrt>},
          {"rsqrt", lower_function<UnaryKind::rsqrt>},
          {"square", lower_function<UnaryKind::square>},
          {"reciprocal", lower_function<UnaryKind::reciprocal>},
          {"neg", lower_function<UnaryKind::negate>},
          {"abs", lower_function<UnaryKind::absolute>},
          {"sign", lower_function<UnaryKind::sign>},
          {"floor", lower_function<UnaryKind::floor>},
          {"ceil", lower_function<UnaryKind::ceil>},
          {"round", lower_function<UnaryKind::round>},
          {"sin", lower_function<UnaryKind::sin>},
          {"cos", lower_function<UnaryKind::cos>},
          {"erf", lower_function<UnaryKind::erf>},
          {"logical_not", lower_function<UnaryKind::logical_not>},
          {"gelu", lower_gelu},
          {"elu", lower_elu},
          {"leaky_relu", lower_leaky_relu},
          {"softplus", lower_softplus},
          {"log_sigmoid", lower_log_sigmoid},
          {"relu6", lower_relu6},
          {"hardtanh", lower_clamp},
          {"clamp", lower_clamp},
          {"clamp_min", lower_clamp_min},
          {"clamp_max", lower_clamp_max},
          {"add", lower_sum<BinaryKind::add, false>},
          {"sub", lower_sum<BinaryKind::subtract, false>},
          {"rsub", lower_sum<BinaryKind::subtract, true>},
          {"mul", lower_arithmetic<BinaryKind::multiply>},
          {"div", lower_divide},
          {"floor_divide", lower_arithmetic<BinaryKind::floor_divide>},
          {"remainder", lower_arithmetic<BinaryKind::remainder>},
          {"pow", lower_arithmetic<BinaryKind::power>},
          {"maximum", lower_arithmetic<BinaryKind::maximum>},
          {"minimum", lower_arithmetic<BinaryKind::minimum>},
          {"logical_and", lower_arithmetic<BinaryKind::logical_and>},
          {"logical_or", lower_arithmetic<BinaryKind::logical_or>},
          {"eq", lower_comparison<BinaryKind::equal>},
          {"ne", lower_comparison<BinaryKind::not_equal>},
          {"lt", lower_comparison<BinaryKind::less>},
          {"le", lower_comparison<BinaryKind::less_equal>},
          {"gt", lower_comparison<BinaryKind::greater>},
          {"ge", lower_comparison<BinaryKind::greater_equal>},
          {"addcmul", lower_addc<BinaryKind::multiply>},
          {"addcdiv", lower_addc<BinaryKind::divide>},
          {"outer", lower_outer},
          {"where", lower_where},
          {"masked_fill", lower_masked_fill},
          {"to", lower_to},
          {"_to_copy", lower_to},
          {"type_as", lower_to},
          {"copy", lower_copy},
          {"contiguous", lower_same},
          {"clone", lower_same},
          {"detach", lower_same},
          {"alias", lower_same},
          {"lift_fresh", lower_same},
          {"requires_grad", lower_same},
          {"dropout", lower_dropout},
          {"feature_dropout", lower_dropout}};
}

}  // namespace residua
