// Shape rules of what multiplies by weights: convolutions, products, attention.
#include <fmt/format.h>

#include <algorithm>

#include "residua/graph/shape_rules.h"

namespace residua {

namespace {

// An activation whose numbers make sense.
void check_activation(const Operands& in, const op::Activation& activation) {
  if (activation.kind == UnaryKind::softplus && !(activation.beta > 0))
    in.refuse("beta of softplus must be positive", {}, fmt::format("{}", activation.beta));
}

const TensorType& weight_of(const Operands& in, const TensorType& x, size_t rank) {
  const TensorType& weight = in.at(1, "weight");
  if (weight.dtype != x.dtype)
    in.refuse("x and weight must have one element type", std::string(to_string(x.dtype)),
              std::string(to_string(weight.dtype)));
  if (weight.shape.size() != rank)
    in.refuse("the weight has another number of axes", fmt::format("{}", rank),
              to_string(weight.shape));
  return weight;
}

void check_summand(const Operands& in, size_t i, const TensorType& output) {
  const TensorType* summand = in.find(i);
  if (summand != nullptr && *summand != output)
    in.refuse("the summand must have the output's type and shape",
              fmt::format("{} {}", to_string(output.dtype), to_string(output.shape)),
              fmt::format("{} {}", to_string(summand->dtype), to_string(summand->shape)));
}

// Sizes of all axes but the last two, broadcast.
Shape leading(const Operands& in, const Shape& a, const Shape& b) {
  return broadcast(in, Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2));
}

}  // namespace

Types shape_rule(const op::Conv& o, const Operands& in) {
  in.count(2, 4);
  check_activation(in, o.activation);
  const TensorType& x = in.floating(0, "x");
  const auto axes = static_cast<size_t>(spatial_axes(in, x.shape));
  const TensorType& weight = weight_of(in, x, x.shape.size());
  one_for_each(in, "stride", o.stride.size(), axes);
  one_for_each(in, "padding", o.padding.size(), 2 * axes);
  one_for_each(in, "dilation", o.dilation.size(), axes);
  const int64_t outputs = weight.shape[0];
  if (x.shape[1] % o.groups != 0 || outputs % o.groups != 0)
    in.refuse("channels of x and of the output must be multiples of the groups",
              fmt::format("multiples of {}", o.groups),
              fmt::format("{} and {}", x.shape[1], outputs));
  if (weight.shape[1] != x.shape[1] / o.groups)
    in.refuse("the weight's second size must be the channels of x over the groups",
              fmt::format("{}", x.shape[1] / o.groups), fmt::format("{}", weight.shape[1]));
  in.parameter(2, "bias", x.dtype, {outputs});
  TensorType output{x.dtype, {x.shape[0], outputs}};
  for (size_t i = 0; i < axes; ++i)
    output.shape.push_back(window_places(in, x.shape[2 + i], weight.shape[2 + i], o.stride[i],
                                         o.padding[i], o.padding[axes + i], o.dilation[i]));
  check_summand(in, 3, output);
  return {output};
}

Types shape_rule(const op::ConvTranspose& o, const Operands& in) {
  in.count(2, 3);
  const TensorType& x = in.floating(0, "x");
  const auto axes = static_cast<size_t>(spatial_axes(in, x.shape));
  const TensorType& weight = weight_of(in, x, x.shape.size());
  one_for_each(in, "stride", o.stride.size(), axes);
  one_for_each(in, "padding", o.padding.size(), 2 * axes);
  one_for_each(in, "output_padding", o.output_padding.size(), axes);
  one_for_each(in, "dilation", o.dilation.size(), axes);
  if (x.shape[1] % o.groups != 0 || weight.shape[0] != x.shape[1])
    in.refuse("the weight's first size must be the channels of x, a multiple of the groups",
              fmt::format("{} in {} groups", x.shape[1], o.groups),
              fmt::format("{}", weight.shape[0]));
  TensorType output{x.dtype, {x.shape[0], weight.shape[1] * o.groups}};
  in.parameter(2, "bias", x.dtype, {output.shape[1]});
  for (size_t i = 0; i < axes; ++i) {
    if (weight.shape[2 + i] < 1) in.refuse("the kernel is empty", {}, to_string(weight.shape));
    if (o.output_padding[i] >= std::max(o.stride[i], o.dilation[i]))
      in.refuse("output padding must be less than the stride or the dilation",
                fmt::format("less than {}", std::max(o.stride[i], o.dilation[i])),
                fmt::format("{}", o.output_padding[i]));
    const int64_t size = (x.shape[2 + i] - 1) * o.stride[i] - o.padding[i] - o.padding[axes + i] +
                         o.dilation[i] * (weight.shape[2 + i] - 1) + o.output_padding[i] + 1;
    if (size < 1)
      in.refuse("the padding cuts the whole output", "a size of at least 1",
                fmt::format("{}", size));
    output.shape.push_back(size);
  }
  return {output};
}

Types shape_rule(const op::Linear& o, const Operands& in) {
  in.count(2, 4);
  check_activation(in, o.activation);
  const TensorType& x = in.floating(0, "x");
  const TensorType& weight = weight_of(in, x, 2);
  if (x.shape.empty() || x.shape.back() != weight.shape[1])
    in.refuse("the last size of x must be the weight's second", fmt::format("{}", weight.shape[1]),
              to_string(x.shape));
  TensorType output = x;
  output.shape.back() = weight.shape[0];
  in.parameter(2, "bias", x.dtype, {weight.shape[0]});
  check_summand(in, 3, output);
  return {output};
}

Types shape_rule(const op::MatMul& o, const Operands& in) {
  in.count(2, 2);
  const TensorType &a = in.floating(0, "a"), &b = in.floating(1, "b");
  if (a.dtype != b.dtype)
    in.refuse("a and b must have one element type", std::string(to_string(a.dtype)),
              std::string(to_string(b.dtype)));
  if (a.shape.size() < 2 || b.shape.size() < 2)
    in.refuse("a and b must have at least two axes", {},
              to_string(a.shape) + " and " + to_string(b.shape));
  const size_t p = a.shape.size(), q = b.shape.size();
  const int64_t rows = a.shape[p - (o.transpose_a ? 1 : 2)];
  const int64_t inner = a.shape[p - (o.transpose_a ? 2 : 1)];
  const int64_t inner_b = b.shape[q - (o.transpose_b ? 1 : 2)];
  const int64_t columns = b.shape[q - (o.transpose_b ? 2 : 1)];
  if (inner != inner_b)
    in.refuse("the columns of a must be as many as the rows of b", fmt::format("{}", inner),
              fmt::format("{}", inner_b));
  TensorType output{a.dtype, leading(in, a.shape, b.shape)};
  output.shape.push_back(rows);
  output.shape.push_back(columns);
  return {output};
}

Types shape_rule(const op::Attention&, const Operands& in) {
  in.count(3, 4);
  const TensorType& q = in.floating(0, "query");
  const TensorType &k = in.floating(1, "key"), &v = in.floating(2, "value");
  if (k.dtype != q.dtype || v.dtype != q.dtype)
    in.refuse("query, key and value must have one element type", std::string(to_string(q.dtype)),
              fmt::format("{} and {}", to_string(k.dtype), to_string(v.dtype)));
  const std::string received = fmt::format("query {}, key {}, value {}", to_string(q.shape),
                                           to_string(k.shape), to_string(v.shape));
  if (q.shape.size() != 4 || k.shape.size() != 4 || v.shape.size() != 4)
    in.refuse("query, key and value must have four axes: batch, heads, tokens, channels", {},
              received);
  if (k.shape[0] != q.shape[0] || v.shape[0] != q.shape[0] || v.shape[1] != k.shape[1] ||
      v.shape[2] != k.shape[2] || k.shape[3] != q.shape[3])
    in.refuse("batch, key heads, key tokens and key channels must agree", {}, received);
  if (k.shape[1] < 1 || q.shape[1] % k.shape[1] != 0)
    in.refuse("heads must be a multiple of the key heads", {}, received);
  if (k.shape[2] < 1) in.refuse("there must be a key", {}, received);
  if (const TensorType* mask = in.find(3)) {
    const Shape scores{q.shape[0], q.shape[1], q.shape[2], k.shape[2]};
    const auto common = broadcast(mask->shape, scores);
    if (mask->dtype != q.dtype || !common || *common != scores)
      in.refuse("the mask must broadcast to the scores and have their element type",
                fmt::format("{} {}", to_string(q.dtype), to_string(scores)),
                fmt::format("{} {}", to_string(mask->dtype), to_string(mask->shape)));
  }
  return {{q.dtype, {q.shape[0], q.shape[1], q.shape[2], v.shape[3]}}};
}

// The shape of the three convolutions one after the other.
Types shape_rule(const op::FusedBlock& o, const Operands& in) {
  in.count(7, 7);
  check_activation(in, o.activation);
  const TensorType x = in.floating(0, "x");
  if (x.shape.size() != 4) in.refuse("x must have four axes", {}, to_string(x.shape));
  const op::Conv grouped{.stride = {o.stride, o.stride},
                         .padding = {o.padding, o.padding, o.padding, o.padding},
                         .groups = o.groups};
  std::optional<TensorType> y = x;
  for (size_t i = 0; i < 3; ++i) {
    const bool is_grouped = i == (o.conv_first ? 0 : 1);
    const TensorType weight = in.at(1 + 2 * i, "weight"), bias = in.at(2 + 2 * i, "bias");
    if (!is_grouped && weight.shape.size() == 4 && (weight.shape[2] != 1 || weight.shape[3] != 1))
      in.refuse("the other two convolutions must be 1x1", {}, to_string(weight.shape));
    const std::optional<TensorType> inputs[] = {y, weight, bias};
    y = shape_rule(is_grouped ? grouped : op::Conv{}, Operands(o.name, inputs)).front();
  }
  if (o.residual && *y != x)
    in.refuse("a residual block must keep the shape", to_string(x.shape), to_string(y->shape));
  return {*y};
}

}  // namespace residua
