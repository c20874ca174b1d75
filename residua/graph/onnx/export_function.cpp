// Functions of single elements as ONNX.
#include <cmath>
#include <numbers>

#include "residua/graph/onnx/export.h"
#include "residua/graph/shape_rules.h"

namespace residua {

namespace {

constexpr double kRootTwoOverPi = 0.79788456080286535588;

std::string gelu_of(OnnxLowering& e, const std::string& x, bool by_tanh, DType dtype) {
  std::string inner;
  if (by_tanh) {
    const std::string cube = e.emit("Mul", {e.emit("Mul", {x, x}), x});
    const std::string sum = e.emit("Add", {x, e.emit("Mul", {cube, e.scalar(0.044715, dtype)})});
    inner = e.emit("Tanh", {e.emit("Mul", {sum, e.scalar(kRootTwoOverPi, dtype)})});
  } else {
    inner = e.emit("Erf", {e.emit("Div", {x, e.scalar(std::numbers::sqrt2, dtype)})});
  }
  const std::string share = e.emit("Add", {inner, e.scalar(1, dtype)});
  return e.emit("Mul", {e.emit("Mul", {x, share}), e.scalar(0.5, dtype)});
}

std::string softplus_of(OnnxLowering& e, const std::string& x, double beta, DType dtype) {
  if (beta == 1) return e.emit("Softplus", {x});
  const std::string scaled = e.emit("Mul", {x, e.scalar(beta, dtype)});
  return e.emit("Div", {e.emit("Softplus", {scaled}), e.scalar(beta, dtype)});
}

// Functions that are one operator without attributes.
std::string plain_name(UnaryKind kind) {
  switch (kind) {
    case UnaryKind::relu: return "Relu";
    case UnaryKind::sigmoid: return "Sigmoid";
    case UnaryKind::hard_swish: return "HardSwish";
    case UnaryKind::tanh: return "Tanh";
    case UnaryKind::exp: return "Exp";
    case UnaryKind::log: return "Log";
    case UnaryKind::sqrt: return "Sqrt";
    case UnaryKind::reciprocal: return "Reciprocal";
    case UnaryKind::negate: return "Neg";
    case UnaryKind::absolute: return "Abs";
    case UnaryKind::sign: return "Sign";
    case UnaryKind::floor: return "Floor";
    case UnaryKind::ceil: return "Ceil";
    case UnaryKind::round: return "Round";
    case UnaryKind::sin: return "Sin";
    case UnaryKind::cos: return "Cos";
    case UnaryKind::erf: return "Erf";
    case UnaryKind::logical_not: return "Not";
    default: return {};
  }
}

}  // namespace

std::string OnnxLowering::activate(std::string x, const op::Activation& f, DType dtype) {
  const bool whole = is_integer(dtype);
  switch (f.kind) {
    case UnaryKind::none: return x;
    case UnaryKind::relu:
      if (whole) return emit("Max", {x, scalar(0, dtype)});
      return emit("Relu", {x});
    case UnaryKind::floor:
    case UnaryKind::ceil:
    case UnaryKind::round:
      if (whole) return x;
      return emit(plain_name(f.kind), {x});
    case UnaryKind::leaky_relu: return emit("LeakyRelu", {x}, {{"alpha", f.alpha}});
    case UnaryKind::elu: return emit("Elu", {x}, {{"alpha", f.alpha}});
    case UnaryKind::selu: return emit("Selu", {x});
    case UnaryKind::gelu: return gelu_of(*this, x, false, dtype);
    case UnaryKind::gelu_tanh: return gelu_of(*this, x, true, dtype);
    case UnaryKind::silu: return emit("Mul", {x, emit("Sigmoid", {x})});
    case UnaryKind::hard_sigmoid:
      return emit("HardSigmoid", {x}, {{"alpha", 1.0 / 6}, {"beta", 0.5}});
    case UnaryKind::softplus: return softplus_of(*this, x, f.beta, dtype);
    case UnaryKind::mish: return emit("Mul", {x, emit("Tanh", {emit("Softplus", {x})})});
    case UnaryKind::clamp: return emit("Clip", {x, scalar(f.alpha, dtype), scalar(f.beta, dtype)});
    case UnaryKind::log1p: return emit("Log", {emit("Add", {x, scalar(1, dtype)})});
    case UnaryKind::rsqrt: return emit("Reciprocal", {emit("Sqrt", {x})});
    case UnaryKind::square: return emit("Mul", {x, x});
    default: return emit(plain_name(f.kind), {x});
  }
}

void lower(const op::Unary& o, OnnxLowering& e) {
  e.give(e.activate(e.in(0), o.function, e.type(0).dtype));
}

namespace {

// The remainder has the divisor's sign, and the quotient that goes with it is rounded down.
std::string floored(OnnxLowering& e, bool quotient, bool whole) {
  const std::string a = e.in(0), b = e.in(1);
  if (whole) {
    const std::string rest = e.emit("Mod", {a, b});
    return quotient ? e.emit("Div", {e.emit("Sub", {a, rest}), b}) : rest;
  }
  const std::string floor = e.emit("Floor", {e.emit("Div", {a, b})});
  return quotient ? floor : e.emit("Sub", {a, e.emit("Mul", {floor, b})});
}

std::string binary_of(OnnxLowering& e, BinaryKind kind, bool whole) {
  const std::string a = e.in(0), b = e.in(1);
  switch (kind) {
    case BinaryKind::add: return e.emit("Add", {a, b});
    case BinaryKind::subtract: return e.emit("Sub", {a, b});
    case BinaryKind::multiply: return e.emit("Mul", {a, b});
    case BinaryKind::divide: return e.emit("Div", {a, b});
    case BinaryKind::power: return e.emit("Pow", {a, b});
    case BinaryKind::minimum: return e.emit("Min", {a, b});
    case BinaryKind::maximum: return e.emit("Max", {a, b});
    case BinaryKind::equal: return e.emit("Equal", {a, b});
    case BinaryKind::not_equal: return e.emit("Not", {e.emit("Equal", {a, b})});
    case BinaryKind::less: return e.emit("Less", {a, b});
    case BinaryKind::less_equal: return e.emit("LessOrEqual", {a, b});
    case BinaryKind::greater: return e.emit("Greater", {a, b});
    case BinaryKind::greater_equal: return e.emit("GreaterOrEqual", {a, b});
    case BinaryKind::logical_and: return e.emit("And", {a, b});
    case BinaryKind::logical_or: return e.emit("Or", {a, b});
    case BinaryKind::floor_divide: return floored(e, true, whole);
    case BinaryKind::remainder: return floored(e, false, whole);
  }
  return {};
}

}  // namespace

void lower(const op::Binary& o, OnnxLowering& e) {
  const std::string y = binary_of(e, o.kind, is_integer(e.type(0).dtype));
  e.give(e.activate(y, o.activation, e.output_type().dtype));
}

void lower(const op::Where&, OnnxLowering& e) {
  e.give(e.emit("Where", {e.in(0), e.in(1), e.in(2)}));
}

void lower(const op::Softmax& o, OnnxLowering& e) {
  e.give(e.emit(o.log ? "LogSoftmax" : "Softmax", {e.in(0)}, {{"axis", o.axis}}));
}

void lower(const op::ArgMax& o, OnnxLowering& e) {
  e.give(e.emit("ArgMax", {e.in(0)}, {{"axis", o.axis}, {"keepdims", int64_t{o.keep}}}));
}

void lower(const op::TopK& o, OnnxLowering& e) {
  const auto outputs = e.emit_all("TopK", {e.in(0), e.setting("k", o.k)}, 2,
                                  {{"axis", o.axis}, {"largest", int64_t{o.largest}}});
  e.give(outputs[0]);
  e.give(outputs[1], 1);
}

void lower(const op::CumulativeSum& o, OnnxLowering& e) {
  e.give(e.emit("CumSum", {e.in(0), e.scalar(static_cast<double>(o.axis), DType::i64)}));
}

namespace {

std::string reduce_of(OnnxLowering& e, const std::string& name, const std::string& x,
                      const std::vector<int64_t>& axes, bool keep) {
  OnnxAttributes attributes{{"keepdims", int64_t{keep}}};
  if (axes.empty()) return e.emit(name, {x}, attributes);
  if (name == "ReduceSum") return e.emit(name, {x, e.list(axes)}, attributes);
  attributes.push_back({"axes", axes});
  return e.emit(name, {x}, attributes);
}

// The mean of squares around the mean; unbiased: times n / (n - 1), n counted at run time.
std::string variance_of(OnnxLowering& e, const op::Reduce& o, DType dtype) {
  const std::string x = e.in(0);
  const std::string around = e.emit("Sub", {x, reduce_of(e, "ReduceMean", x, o.axes, true)});
  const std::string square = e.emit("Mul", {around, around});
  if (!o.unbiased) return reduce_of(e, "ReduceMean", square, o.axes, o.keep);
  std::string sizes = e.emit("Shape", {x});
  if (!o.axes.empty()) {
    std::vector<int64_t> axes = o.axes;
    for (int64_t& axis : axes)
      if (axis < 0) axis += static_cast<int64_t>(e.shape(0).size());
    sizes = e.emit("Gather", {sizes, e.list(axes)});
  }
  const std::string count = e.emit("ReduceProd", {sizes}, {{"keepdims", int64_t{0}}});
  const std::string degrees = e.emit("Sub", {e.cast(count, dtype), e.scalar(1, dtype)});
  return e.emit("Div", {reduce_of(e, "ReduceSum", square, o.axes, o.keep), degrees});
}

}  // namespace

void lower(const op::Reduce& o, OnnxLowering& e) {
  switch (o.kind) {
    case ReduceKind::sum: return e.give(reduce_of(e, "ReduceSum", e.in(0), o.axes, o.keep));
    case ReduceKind::mean: return e.give(reduce_of(e, "ReduceMean", e.in(0), o.axes, o.keep));
    case ReduceKind::max: return e.give(reduce_of(e, "ReduceMax", e.in(0), o.axes, o.keep));
    case ReduceKind::min: return e.give(reduce_of(e, "ReduceMin", e.in(0), o.axes, o.keep));
    case ReduceKind::prod: return e.give(reduce_of(e, "ReduceProd", e.in(0), o.axes, o.keep));
    case ReduceKind::l2: return e.give(reduce_of(e, "ReduceL2", e.in(0), o.axes, o.keep));
    case ReduceKind::variance: return e.give(variance_of(e, o, e.type(0).dtype));
  }
}

}  // namespace residua
