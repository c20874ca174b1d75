// Shape rules of what computes with numbers but without weights: norms, pools, reductions,
// functions.
#include <fmt/format.h>

#include <algorithm>

#include "residua/graph/shape_rules.h"

namespace residua {

namespace {

bool keeps_integers(UnaryKind kind) {
  switch (kind) {
    case UnaryKind::none:
    case UnaryKind::relu:
    case UnaryKind::clamp:
    case UnaryKind::square:
    case UnaryKind::negate:
    case UnaryKind::absolute:
    case UnaryKind::sign:
    case UnaryKind::floor:
    case UnaryKind::ceil:
    case UnaryKind::round: return true;
    default: return false;
  }
}

void check_function(const Operands& in, const op::Activation& f, DType dtype) {
  const bool fits = f.kind == UnaryKind::none          ? true
                    : f.kind == UnaryKind::logical_not ? dtype == DType::boolean
                    : is_integer(dtype)                ? keeps_integers(f.kind)
                                                       : is_floating(dtype);
  if (!fits)
    in.refuse(fmt::format("{} does not take this element type",
                          EnumNames<UnaryKind>::names[static_cast<size_t>(f.kind)]),
              {}, std::string(to_string(dtype)));
  if (f.kind == UnaryKind::softplus && !(f.beta > 0))
    in.refuse("beta of softplus must be positive", {}, fmt::format("{}", f.beta));
}

bool compares(BinaryKind kind) {
  return kind >= BinaryKind::equal && kind <= BinaryKind::greater_equal;
}

bool is_logical(BinaryKind kind) {
  return kind == BinaryKind::logical_and || kind == BinaryKind::logical_or;
}

const TensorType& image(const Operands& in) {
  const TensorType& x = in.floating(0, "x");
  if (x.shape.size() < 2) in.refuse("x must have batch and channels", {}, to_string(x.shape));
  return x;
}

// The scales' shape and the zero points.
void check_scales(const Operands& in, const Shape& x, int64_t axis, DType integers) {
  const TensorType& scale = in.floating(1, "scale");
  const int64_t count = checked_numel(scale.shape, "scale");
  if (scale.shape.size() > 1)
    in.refuse("scales must be one number or a list", {}, to_string(scale.shape));
  if (count != 1 && count != x[static_cast<size_t>(axis_of(in, axis, x))])
    in.refuse("scales must be one, or one for each place of the axis",
              fmt::format("{}", x[static_cast<size_t>(axis_of(in, axis, x))]),
              fmt::format("{}", count));
  const TensorType* zero = in.find(2);
  if (zero != nullptr && (zero->dtype != integers || zero->shape != scale.shape))
    in.refuse("zero points must have the integers' type and the scales' shape",
              fmt::format("{} {}", to_string(integers), to_string(scale.shape)),
              fmt::format("{} {}", to_string(zero->dtype), to_string(zero->shape)));
}

void check_integers(const Operands& in, DType dtype) {
  if (dtype != DType::u8 && dtype != DType::i8 && dtype != DType::i32)
    in.refuse("quantised numbers are U8, I8 or I32", {}, std::string(to_string(dtype)));
}

}  // namespace

Types shape_rule(const op::BatchNorm&, const Operands& in) {
  in.count(3, 5);
  const TensorType& x = image(in);
  in.at(1, "mean");
  in.at(2, "variance");
  in.parameter(1, "mean", x.dtype, {x.shape[1]});
  in.parameter(2, "variance", x.dtype, {x.shape[1]});
  in.parameter(3, "weight", x.dtype, {x.shape[1]});
  in.parameter(4, "bias", x.dtype, {x.shape[1]});
  return {x};
}

Types shape_rule(const op::LayerNorm& o, const Operands& in) {
  in.count(1, 3);
  const TensorType& x = in.floating(0, "x");
  if (static_cast<size_t>(o.axes) > x.shape.size())
    in.refuse("normalises more axes than x has", fmt::format("at most {}", x.shape.size()),
              fmt::format("{}", o.axes));
  const Shape normalised(x.shape.end() - o.axes, x.shape.end());
  in.parameter(1, "weight", x.dtype, normalised);
  in.parameter(2, "bias", x.dtype, normalised);
  return {x};
}

Types shape_rule(const op::GroupNorm& o, const Operands& in) {
  in.count(1, 3);
  const TensorType& x = image(in);
  if (x.shape[1] % o.groups != 0)
    in.refuse("the channels must be a multiple of the groups",
              fmt::format("a multiple of {}", o.groups), fmt::format("{}", x.shape[1]));
  in.parameter(1, "weight", x.dtype, {x.shape[1]});
  in.parameter(2, "bias", x.dtype, {x.shape[1]});
  return {x};
}

Types shape_rule(const op::Pool& o, const Operands& in) {
  in.count(1, 1);
  const TensorType& x = in.floating(0, "x");
  const auto axes = static_cast<size_t>(spatial_axes(in, x.shape));
  one_for_each(in, "kernel", o.kernel.size(), axes);
  one_for_each(in, "stride", o.stride.size(), axes);
  one_for_each(in, "padding", o.padding.size(), 2 * axes);
  one_for_each(in, "dilation", o.dilation.size(), axes);
  TensorType output{x.dtype, {x.shape[0], x.shape[1]}};
  for (size_t i = 0; i < axes; ++i) {
    const int64_t before = o.padding[i], after = o.padding[axes + i];
    const int64_t reach = o.dilation[i] * (o.kernel[i] - 1) + 1;
    if (std::max(before, after) >= reach)
      in.refuse("padding must be less than the window", fmt::format("less than {}", reach),
                fmt::format("{}", std::max(before, after)));
    output.shape.push_back(window_places(in, x.shape[2 + i], o.kernel[i], o.stride[i], before,
                                         after, o.dilation[i], o.ceil));
  }
  return {output};
}

Types shape_rule(const op::AdaptivePool& o, const Operands& in) {
  in.count(1, 1);
  const TensorType& x = in.floating(0, "x");
  one_for_each(in, "sizes", o.sizes.size(), static_cast<size_t>(spatial_axes(in, x.shape)));
  TensorType output{x.dtype, {x.shape[0], x.shape[1]}};
  for (size_t i = 0; i < o.sizes.size(); ++i) {
    if (x.shape[2 + i] < 1) in.refuse("x has no places", {}, to_string(x.shape));
    output.shape.push_back(o.sizes[i]);
  }
  return {output};
}

Types shape_rule(const op::Reduce& o, const Operands& in) {
  in.count(1, 1);
  const TensorType& x = in.at(0, "x");
  const bool order = o.kind == ReduceKind::max || o.kind == ReduceKind::min;
  const bool adds = o.kind == ReduceKind::sum || o.kind == ReduceKind::prod;
  if (!is_floating(x.dtype) && !order && !(adds && is_integer(x.dtype)))
    in.refuse("this reduction does not take this element type", {},
              std::string(to_string(x.dtype)));
  std::vector<bool> reduced(x.shape.size(), o.axes.empty());
  for (const int64_t axis : o.axes) {
    const auto a = static_cast<size_t>(axis_of(in, axis, x.shape));
    if (reduced[a]) in.refuse("names an axis twice", {}, fmt::format("{}", axis));
    reduced[a] = true;
  }
  TensorType output{x.dtype, {}};
  for (size_t i = 0; i < reduced.size(); ++i) {
    if (reduced[i] && order && x.shape[i] < 1)
      in.refuse("the largest of no numbers does not exist", {}, to_string(x.shape));
    if (!reduced[i]) output.shape.push_back(x.shape[i]);
    if (reduced[i] && o.keep) output.shape.push_back(1);
  }
  return {output};
}

Types shape_rule(const op::Unary& o, const Operands& in) {
  in.count(1, 1);
  check_function(in, o.function, in.at(0, "x").dtype);
  return {in.at(0, "x")};
}

Types shape_rule(const op::Binary& o, const Operands& in) {
  in.count(2, 2);
  const TensorType &a = in.at(0, "a"), &b = in.at(1, "b");
  if (a.dtype != b.dtype)
    in.refuse("both inputs must have one element type", std::string(to_string(a.dtype)),
              std::string(to_string(b.dtype)));
  const bool truth = a.dtype == DType::boolean;
  const bool equality = o.kind == BinaryKind::equal || o.kind == BinaryKind::not_equal;
  if (truth ? !is_logical(o.kind) && !equality : is_logical(o.kind))
    in.refuse(fmt::format("{} does not take this element type",
                          EnumNames<BinaryKind>::names[static_cast<size_t>(o.kind)]),
              {}, std::string(to_string(a.dtype)));
  const DType result = compares(o.kind) ? DType::boolean : a.dtype;
  check_function(in, o.activation, result);
  return {{result, broadcast(in, a.shape, b.shape)}};
}

Types shape_rule(const op::Where&, const Operands& in) {
  in.count(3, 3);
  const TensorType& condition = in.at(0, "condition");
  const TensorType &yes = in.at(1, "where true"), &no = in.at(2, "where false");
  if (condition.dtype != DType::boolean)
    in.refuse("the condition must be BOOL", {}, std::string(to_string(condition.dtype)));
  if (yes.dtype != no.dtype)
    in.refuse("both choices must have one element type", std::string(to_string(yes.dtype)),
              std::string(to_string(no.dtype)));
  return {{yes.dtype, broadcast(in, condition.shape, broadcast(in, yes.shape, no.shape))}};
}

Types shape_rule(const op::Softmax& o, const Operands& in) {
  in.count(1, 1);
  const TensorType& x = in.floating(0, "x");
  axis_of(in, o.axis, x.shape);
  return {x};
}

Types shape_rule(const op::ArgMax& o, const Operands& in) {
  in.count(1, 1);
  TensorType output{DType::i64, in.at(0, "x").shape};
  const auto axis = static_cast<size_t>(axis_of(in, o.axis, output.shape));
  if (output.shape[axis] < 1) in.refuse("the axis is empty", {}, to_string(output.shape));
  output.shape[axis] = 1;
  if (!o.keep) output.shape.erase(output.shape.begin() + static_cast<ptrdiff_t>(axis));
  return {output};
}

Types shape_rule(const op::TopK& o, const Operands& in) {
  in.count(1, 1);
  TensorType output = in.at(0, "x");
  int64_t& size = output.shape[static_cast<size_t>(axis_of(in, o.axis, output.shape))];
  if (o.k > size)
    in.refuse("asks for more values than the axis has", fmt::format("at most {}", size),
              fmt::format("{}", o.k));
  size = o.k;
  return {output, {DType::i64, output.shape}};
}

Types shape_rule(const op::CumulativeSum& o, const Operands& in) {
  in.count(1, 1);
  const TensorType& x = in.at(0, "x");
  if (x.dtype == DType::boolean) in.refuse("truth values cannot be added");
  axis_of(in, o.axis, x.shape);
  return {x};
}

Types shape_rule(const op::Quantize& o, const Operands& in) {
  in.count(2, 3);
  const TensorType& x = in.floating(0, "x");
  check_integers(in, o.dtype);
  check_scales(in, x.shape, o.axis, o.dtype);
  return {{o.dtype, x.shape}};
}

Types shape_rule(const op::Dequantize& o, const Operands& in) {
  in.count(2, 3);
  const TensorType& x = in.at(0, "x");
  check_integers(in, x.dtype);
  check_scales(in, x.shape, o.axis, x.dtype);
  return {{in.at(1, "scale").dtype, x.shape}};
}

}  // namespace residua
