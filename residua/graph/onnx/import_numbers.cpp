// Functions of single elements of ONNX.
#include <cfloat>

#include "residua/graph/onnx/import.h"

namespace residua {

namespace {

template <UnaryKind kind>
void import_function(OnnxNode& n) {
  n.give(n.add(op::Unary{{kind}}, {n.in(0)}));
}

template <BinaryKind kind>
void import_two(OnnxNode& n) {
  n.give(n.add(op::Binary{kind}, {n.in(0), n.in(1)}));
}

void import_leaky_relu(OnnxNode& n) {
  n.give(n.add(op::Unary{{UnaryKind::leaky_relu, n.number("alpha", 0.01f)}}, {n.in(0)}));
}

void import_elu(OnnxNode& n) {
  n.give(n.add(op::Unary{{UnaryKind::elu, n.number("alpha", 1)}}, {n.in(0)}));
}

// Only the numbers of the paper, which are the defaults.
void import_selu(OnnxNode& n) {
  if (n.number("alpha", 1.67326319217681884765625) != 1.67326319217681884765625 ||
      n.number("gamma", 1.05070102214813232421875) != 1.05070102214813232421875)
    n.unsupported("has other numbers than SELU's");
  n.give(n.add(op::Unary{{UnaryKind::selu}}, {n.in(0)}));
}

void import_gelu(OnnxNode& n) {
  const std::string form = n.text("approximate", "none");
  if (form != "none" && form != "tanh") n.refuse("has an unknown approximation", {}, form);
  n.give(n.add(op::Unary{{form == "none" ? UnaryKind::gelu : UnaryKind::gelu_tanh}}, {n.in(0)}));
}

void import_softplus(OnnxNode& n) {
  n.give(n.add(op::Unary{{.kind = UnaryKind::softplus, .beta = 1}}, {n.in(0)}));
}

// clamp(alpha x + beta, 0, 1).
void import_hard_sigmoid(OnnxNode& n) {
  const double alpha = n.number("alpha", 0.2f), beta = n.number("beta", 0.5f);
  const ValueId x = n.in(0);
  if (static_cast<float>(alpha) == 1.0f / 6 && beta == 0.5)
    return n.give(n.add(op::Unary{{UnaryKind::hard_sigmoid}}, {x}));
  const DType dtype = n.type(x).dtype;
  const ValueId scaled = n.add(op::Binary{BinaryKind::multiply}, {x, n.scalar(alpha, dtype)});
  n.give(n.add(op::Binary{BinaryKind::add, {UnaryKind::clamp, 0, 1}},
               {scaled, n.scalar(beta, dtype)}));
}

void import_prelu(OnnxNode& n) {
  const ValueId x = n.in(0);
  const ValueId negative = n.add(op::Binary{BinaryKind::less}, {x, n.scalar(0, n.type(x).dtype)});
  const ValueId scaled = n.add(op::Binary{BinaryKind::multiply}, {x, n.in(1)});
  n.give(n.add(op::Where{}, {negative, scaled, x}));
}

void import_softsign(OnnxNode& n) {
  const ValueId x = n.in(0);
  const ValueId size = n.add(op::Unary{{UnaryKind::absolute}}, {x});
  const ValueId one = n.scalar(1, n.type(x).dtype);
  n.give(n.add(op::Binary{BinaryKind::divide}, {x, n.add(op::Binary{}, {size, one})}));
}

// Bounds are attributes before opset 11, then inputs.
void import_clip(OnnxNode& n) {
  ValueId x = n.in(0);
  std::optional<double> low, high;
  if (n.opset() < 11) {
    low = n.number("min", -FLT_MAX);
    high = n.number("max", FLT_MAX);
  }
  const auto bound = [&](size_t i, std::optional<double>& number, BinaryKind kind) {
    if (!n.has(i)) return;
    const Numbers* known = n.import().known(n.in(i));
    if (known != nullptr && known->data.size() == 1)
      number = known->data.front();
    else
      x = n.add(op::Binary{kind}, {x, n.in(i)});
  };
  bound(1, low, BinaryKind::maximum);
  bound(2, high, BinaryKind::minimum);
  if (low == 0 && (!high || *high >= FLT_MAX))
    return n.give(n.add(op::Unary{{UnaryKind::relu}}, {x}));
  if (low && high)
    x = n.add(op::Unary{{UnaryKind::clamp, *low, *high}}, {x});
  else if (low)
    x = n.add(op::Binary{BinaryKind::maximum}, {x, n.in(1)});
  else if (high)
    x = n.add(op::Binary{BinaryKind::minimum}, {x, n.in(2)});
  n.give(x);
}

// The exponent may be of another type.
void import_power(OnnxNode& n) {
  const ValueId x = n.in(0);
  ValueId exponent = n.in(1);
  if (n.type(exponent).dtype != n.type(x).dtype)
    exponent = n.add(op::Cast{n.type(x).dtype}, {exponent});
  n.give(n.add(op::Binary{BinaryKind::power}, {x, exponent}));
}

void import_modulo(OnnxNode& n) {
  if (n.integer("fmod", 0) != 0) n.unsupported("takes the remainder's sign from the dividend");
  n.give(n.add(op::Binary{BinaryKind::remainder}, {n.in(0), n.in(1)}));
}

template <BinaryKind kind>
void import_many(OnnxNode& n) {
  ValueId y = n.in(0);
  for (size_t i = 1; i < n.inputs(); ++i) y = n.add(op::Binary{kind}, {y, n.in(i)});
  n.give(y);
}

void import_mean(OnnxNode& n) {
  ValueId y = n.in(0);
  for (size_t i = 1; i < n.inputs(); ++i) y = n.add(op::Binary{}, {y, n.in(i)});
  const ValueId count = n.scalar(static_cast<double>(n.inputs()), n.type(y).dtype);
  n.give(n.add(op::Binary{BinaryKind::divide}, {y, count}));
}

void import_where(OnnxNode& n) { n.give(n.add(op::Where{}, {n.in(0), n.in(1), n.in(2)})); }

DType cast_type(OnnxNode& n, int64_t type) {
  const auto dtype =
      type < 0 || type > INT32_MAX ? std::nullopt : dtype_of_onnx(static_cast<int32_t>(type));
  if (!dtype) n.unsupported("casts to a type that graphs do not have", std::to_string(type));
  return *dtype;
}

void import_cast(OnnxNode& n) {
  n.ignore({"saturate"});
  n.give(n.add(op::Cast{cast_type(n, n.integer("to", 0))}, {n.in(0)}));
}

void import_cast_like(OnnxNode& n) {
  n.ignore({"saturate"});
  n.give(n.add(op::Cast{n.type(n.in(1)).dtype}, {n.in(0)}));
}

}  // namespace

void add_number_operators(OnnxOperators& table) {
  table["Relu"] = import_function<UnaryKind::relu>;
  table["Sigmoid"] = import_function<UnaryKind::sigmoid>;
  table["HardSwish"] = import_function<UnaryKind::hard_swish>;
  table["Tanh"] = import_function<UnaryKind::tanh>;
  table["Mish"] = import_function<UnaryKind::mish>;
  table["Exp"] = import_function<UnaryKind::exp>;
  table["Log"] = import_function<UnaryKind::log>;
  table["Sqrt"] = import_function<UnaryKind::sqrt>;
  table["Reciprocal"] = import_function<UnaryKind::reciprocal>;
  table["Neg"] = import_function<UnaryKind::negate>;
  table["Abs"] = import_function<UnaryKind::absolute>;
  table["Sign"] = import_function<UnaryKind::sign>;
  table["Floor"] = import_function<UnaryKind::floor>;
  table["Ceil"] = import_function<UnaryKind::ceil>;
  table["Round"] = import_function<UnaryKind::round>;
  table["Sin"] = import_function<UnaryKind::sin>;
  table["Cos"] = import_function<UnaryKind::cos>;
  table["Erf"] = import_function<UnaryKind::erf>;
  table["Not"] = import_function<UnaryKind::logical_not>;
  table["LeakyRelu"] = import_leaky_relu;
  table["Elu"] = import_elu;
  table["Selu"] = import_selu;
  table["Gelu"] = import_gelu;
  table["Softplus"] = import_softplus;
  table["Softsign"] = import_softsign;
  table["HardSigmoid"] = import_hard_sigmoid;
  table["PRelu"] = import_prelu;
  table["Clip"] = import_clip;
  table["Add"] = import_two<BinaryKind::add>;
  table["Sub"] = import_two<BinaryKind::subtract>;
  table["Mul"] = import_two<BinaryKind::multiply>;
  table["Div"] = import_two<BinaryKind::divide>;
  table["Pow"] = import_power;
  table["Mod"] = import_modulo;
  table["Equal"] = import_two<BinaryKind::equal>;
  table["Less"] = import_two<BinaryKind::less>;
  table["LessOrEqual"] = import_two<BinaryKind::less_equal>;
  table["Greater"] = import_two<BinaryKind::greater>;
  table["GreaterOrEqual"] = import_two<BinaryKind::greater_equal>;
  table["And"] = import_two<BinaryKind::logical_and>;
  table["Or"] = import_two<BinaryKind::logical_or>;
  table["Xor"] = import_two<BinaryKind::not_equal>;
  table["Min"] = import_many<BinaryKind::minimum>;
  table["Max"] = import_many<BinaryKind::maximum>;
  table["Sum"] = import_many<BinaryKind::add>;
  table["Mean"] = import_mean;
  table["Where"] = import_where;
  table["Cast"] = import_cast;
  table["CastLike"] = import_cast_like;
}

}  // namespace residua
