// Convolutions, products, attention, norms and pools as ONNX.
#include <algorithm>
#include <limits>

#include "residua/graph/onnx/export.h"

namespace residua {

namespace {

OnnxAttributes window_attributes(const std::vector<int64_t>& stride,
                                 const std::vector<int64_t>& padding,
                                 const std::vector<int64_t>& dilation) {
  return {{"strides", stride}, {"pads", padding}, {"dilations", dilation}};
}

// What follows a product: the summand, then the function.
std::string end_product(OnnxLowering& e, std::string y, size_t summand, const op::Activation& f) {
  if (e.has(summand)) y = e.emit("Add", {y, e.in(summand)});
  return e.activate(y, f, e.type(0).dtype);
}

}  // namespace

void lower(const op::Conv& o, OnnxLowering& e) {
  OnnxAttributes attributes = window_attributes(o.stride, o.padding, o.dilation);
  attributes.push_back({"group", o.groups});
  const std::string y =
      e.emit("Conv", {e.in(0), e.in(1), e.parameter(2, e.type(0).dtype)}, attributes);
  e.give(end_product(e, y, 3, o.activation));
}

void lower(const op::ConvTranspose& o, OnnxLowering& e) {
  OnnxAttributes attributes = window_attributes(o.stride, o.padding, o.dilation);
  attributes.push_back({"group", o.groups});
  attributes.push_back({"output_padding", o.output_padding});
  e.give(e.emit("ConvTranspose", {e.in(0), e.in(1), e.parameter(2, e.type(0).dtype)}, attributes));
}

void lower(const op::Linear& o, OnnxLowering& e) {
  const std::string bias = e.parameter(2, e.type(0).dtype);
  std::string y;
  if (e.shape(0).size() == 2) {
    y = e.emit("Gemm", {e.in(0), e.in(1), bias}, {{"transB", int64_t{1}}});
  } else {
    const std::string weight =
        e.emit("Transpose", {e.in(1)}, {{"perm", std::vector<int64_t>{1, 0}}});
    y = e.emit("MatMul", {e.in(0), weight});
    if (!bias.empty()) y = e.emit("Add", {y, bias});
  }
  e.give(end_product(e, y, 3, o.activation));
}

namespace {

std::string last_axes_swapped(OnnxLowering& e, const std::string& x, size_t rank) {
  std::vector<int64_t> order(rank);
  for (size_t i = 0; i < rank; ++i) order[i] = static_cast<int64_t>(i);
  std::swap(order[rank - 1], order[rank - 2]);
  return e.emit("Transpose", {x}, {{"perm", order}});
}

// Each head of keys or values repeated for the queries' heads that it serves.
std::string repeated_heads(OnnxLowering& e, size_t input, int64_t heads) {
  const Shape& shape = e.shape(input);
  const int64_t share = heads / shape[1];
  if (share == 1) return e.in(input);
  const std::string apart = e.emit("Unsqueeze", {e.in(input), e.list({2})});
  const std::string repeated = e.emit("Expand", {apart, e.list({1, 1, share, 1, 1})});
  return e.emit("Reshape", {repeated, e.list({0, heads, -1, shape[3]})});
}

// -inf above the diagonal that ends in the last query's last key.
std::string causal_mask(OnnxLowering& e, const std::string& scores, DType dtype) {
  const std::string sizes = e.emit("Shape", {scores}, {{"start", int64_t{2}}});
  const double infinity = std::numeric_limits<double>::infinity();
  const std::string closed = e.emit("Expand", {e.scalar(-infinity, dtype), sizes});
  const auto size = [&](int64_t axis) {
    return e.emit("Gather", {sizes, e.scalar(static_cast<double>(axis), DType::i64)});
  };
  const std::string later = e.emit("Sub", {size(1), size(0)});
  const std::string diagonal = e.emit("Add", {later, e.scalar(1, DType::i64)});
  return e.emit("Trilu", {closed, diagonal}, {{"upper", int64_t{1}}});
}

}  // namespace

void lower(const op::MatMul& o, OnnxLowering& e) {
  std::string a = e.in(0), b = e.in(1);
  if (o.transpose_a) a = last_axes_swapped(e, a, e.shape(0).size());
  if (o.transpose_b) b = last_axes_swapped(e, b, e.shape(1).size());
  std::string y = e.emit("MatMul", {a, b});
  if (o.scale != 1) y = e.emit("Mul", {y, e.scalar(o.scale, e.type(0).dtype)});
  e.give(y);
}

void lower(const op::Attention& o, OnnxLowering& e) {
  const DType dtype = e.type(0).dtype;
  const int64_t heads = e.shape(0)[1];
  std::string query = e.in(0);
  if (o.scale != 1) query = e.emit("Mul", {query, e.scalar(o.scale, dtype)});
  const std::string key = last_axes_swapped(e, repeated_heads(e, 1, heads), 4);
  std::string scores = e.emit("MatMul", {query, key});
  if (e.has(3)) scores = e.emit("Add", {scores, e.in(3)});
  if (o.causal) scores = e.emit("Add", {scores, causal_mask(e, scores, dtype)});
  const std::string weights = e.emit("Softmax", {scores}, {{"axis", int64_t{-1}}});
  e.give(e.emit("MatMul", {weights, repeated_heads(e, 2, heads)}));
}

void lower(const op::FusedBlock& o, OnnxLowering& e) {
  std::string y = e.in(0);
  for (size_t i = 0; i < 3; ++i) {
    OnnxAttributes attributes;
    if (i == (o.conv_first ? 0 : 1)) {
      attributes = window_attributes({o.stride, o.stride},
                                     {o.padding, o.padding, o.padding, o.padding}, {1, 1});
      attributes.push_back({"group", o.groups});
    }
    y = e.emit("Conv", {y, e.in(1 + 2 * i), e.parameter(2 + 2 * i, e.type(0).dtype)}, attributes);
    if (i == 1 || (i == 0 && !o.conv_first)) y = e.activate(y, o.activation, e.type(0).dtype);
  }
  e.give(o.residual ? e.emit("Add", {y, e.in(0)}) : y);
}

void lower(const op::BatchNorm& o, OnnxLowering& e) {
  const DType dtype = e.type(0).dtype;
  const Shape channels{e.shape(0)[1]};
  const std::string weight = e.has(3) ? e.parameter(3, dtype) : e.numbers(channels, 1, dtype);
  const std::string bias = e.has(4) ? e.parameter(4, dtype) : e.numbers(channels, 0, dtype);
  e.give(e.emit("BatchNormalization",
                {e.in(0), weight, bias, e.parameter(1, dtype), e.parameter(2, dtype)},
                {{"epsilon", o.eps}}));
}

namespace {

// x / sqrt(mean of squares + eps), the mean taken out before unless `rms`.
std::string normalised(OnnxLowering& e, const op::LayerNorm& o) {
  std::vector<int64_t> axes;
  for (int64_t i = -o.axes; i < 0; ++i) axes.push_back(i);
  const OnnxAttributes over{{"axes", axes}, {"keepdims", int64_t{1}}};
  std::string x = e.in(0);
  if (!o.rms) x = e.emit("Sub", {x, e.emit("ReduceMean", {x}, over)});
  const std::string mean = e.emit("ReduceMean", {e.emit("Mul", {x, x})}, over);
  const std::string sum = e.emit("Add", {mean, e.scalar(o.eps, e.type(0).dtype)});
  return e.emit("Div", {x, e.emit("Sqrt", {sum})});
}

// A parameter of the channels beside [N, C, ...].
std::string beside_channels(OnnxLowering& e, size_t input, size_t rank) {
  const std::string parameter = e.parameter(input, e.type(0).dtype);
  std::vector<int64_t> axes;
  for (size_t i = 1; i + 1 < rank; ++i) axes.push_back(static_cast<int64_t>(i));
  return axes.empty() ? parameter : e.emit("Unsqueeze", {parameter, e.list(axes)});
}

}  // namespace

void lower(const op::LayerNorm& o, OnnxLowering& e) {
  const DType dtype = e.type(0).dtype;
  if (!o.rms && e.has(1))
    return e.give(e.emit("LayerNormalization",
                         {e.in(0), e.parameter(1, dtype), e.parameter(2, dtype)},
                         {{"axis", -o.axes}, {"epsilon", o.eps}}));
  std::string y = normalised(e, o);
  if (e.has(1)) y = e.emit("Mul", {y, e.parameter(1, dtype)});
  if (e.has(2)) y = e.emit("Add", {y, e.parameter(2, dtype)});
  e.give(y);
}

// Each group is a channel of an instance normalisation.
void lower(const op::GroupNorm& o, OnnxLowering& e) {
  const DType dtype = e.type(0).dtype;
  const std::string joined = e.emit("Reshape", {e.in(0), e.list({0, o.groups, -1})});
  std::string y = e.emit("InstanceNormalization",
                         {joined, e.numbers({o.groups}, 1, dtype), e.numbers({o.groups}, 0, dtype)},
                         {{"epsilon", o.eps}});
  y = e.emit("Reshape", {y, e.emit("Shape", {e.in(0)})});
  const size_t rank = e.shape(0).size();
  if (e.has(1)) y = e.emit("Mul", {y, beside_channels(e, 1, rank)});
  if (e.has(2)) y = e.emit("Add", {y, beside_channels(e, 2, rank)});
  e.give(y);
}

namespace {

// Places after the last window of an axis that PyTorch's ceil rule adds.
int64_t hanging_places(const op::Pool& o, size_t axis, int64_t size, int64_t places) {
  const int64_t reach = o.dilation[axis] * (o.kernel[axis] - 1) + 1;
  const int64_t end = (places - 1) * o.stride[axis] + reach;
  return end - size - o.padding[axis] - o.padding[o.kernel.size() + axis];
}

}  // namespace

// Rounding up differs between versions of ONNX, so that places which hang over are padding where
// the sizes are known.
void lower(const op::Pool& o, OnnxLowering& e) {
  const size_t axes = o.kernel.size();
  const bool max = o.kind == PoolKind::max;
  std::string x = e.in(0);
  std::vector<int64_t> padding = o.padding;
  bool ceil = false, count = o.count_padding;
  if (!max && std::any_of(o.dilation.begin(), o.dilation.end(), [](int64_t d) { return d != 1; }))
    e.unsupported("averages over places with gaps, which ONNX 17 cannot say");
  if (o.ceil && !e.all_fixed(0, 2)) {
    ceil = true;
  } else if (o.ceil) {
    std::vector<int64_t> hanging;
    for (size_t i = 0; i < axes; ++i)
      hanging.push_back(std::max<int64_t>(
          0, hanging_places(o, i, e.shape(0)[2 + i], e.output_type().shape[2 + i])));
    const bool any = std::any_of(hanging.begin(), hanging.end(), [](int64_t n) { return n > 0; });
    if (any && !max && count) {  // real padding counts, what hangs over does not
      std::vector<int64_t> pads(2 * (axes + 2), 0);
      for (size_t i = 0; i < axes; ++i) {
        pads[2 + i] = padding[i];
        pads[axes + 4 + i] = padding[axes + i];
      }
      x = e.emit("Pad", {x, e.list(pads), e.scalar(0, e.type(0).dtype)});
      padding.assign(2 * axes, 0);
      count = false;
    }
    for (size_t i = 0; i < axes; ++i) padding[axes + i] += hanging[i];
  }
  OnnxAttributes attributes{{"kernel_shape", o.kernel},
                            {"strides", o.stride},
                            {"pads", padding},
                            {"ceil_mode", int64_t{ceil}}};
  if (max)
    attributes.push_back({"dilations", o.dilation});
  else
    attributes.push_back({"count_include_pad", int64_t{count}});
  e.give(e.emit(max ? "MaxPool" : "AveragePool", {x}, attributes));
}

namespace {

// The cells of one axis, each reduced from its own slice: from floor(i n / m) to
// ceil((i + 1) n / m). Where n is known at run time only, the bounds are computed there.
std::string axis_cells(OnnxLowering& e, const std::string& x, PoolKind kind, int64_t axis,
                       int64_t cells) {
  const bool fixed = e.is_fixed(0, static_cast<size_t>(axis));
  const int64_t n = e.shape(0)[static_cast<size_t>(axis)];
  const std::string size =
      fixed ? "" : e.emit("Shape", {e.in(0)}, {{"start", axis}, {"end", axis + 1}});
  const auto bound = [&](int64_t i, bool up) {
    if (fixed) return e.list({(i * n + (up ? cells - 1 : 0)) / cells});
    std::string places = e.emit("Mul", {size, e.list({i})});
    if (up) places = e.emit("Add", {places, e.list({cells - 1})});
    return e.emit("Div", {places, e.list({cells})});
  };
  OnnxNames parts;
  for (int64_t i = 0; i < cells; ++i) {
    const std::string part =
        e.emit("Slice", {x, bound(i, false), bound(i + 1, true), e.list({axis})});
    parts.push_back(e.emit(kind == PoolKind::max ? "ReduceMax" : "ReduceMean", {part},
                           {{"axes", std::vector<int64_t>{axis}}, {"keepdims", int64_t{1}}}));
  }
  return parts.size() == 1 ? parts.front() : e.emit("Concat", parts, {{"axis", axis}});
}

}  // namespace

void lower(const op::AdaptivePool& o, OnnxLowering& e) {
  const bool max = o.kind == PoolKind::max;
  bool one = true, even = e.all_fixed(0, 2);
  std::vector<int64_t> kernel;
  for (size_t i = 0; i < o.sizes.size(); ++i) {
    const int64_t n = e.shape(0)[2 + i];
    one &= o.sizes[i] == 1 && !e.follows("sizes", static_cast<int64_t>(i));
    even &= n % o.sizes[i] == 0;
    kernel.push_back(n / o.sizes[i]);
  }
  if (one) return e.give(e.emit(max ? "GlobalMaxPool" : "GlobalAveragePool", {e.in(0)}));
  if (even)
    return e.give(e.emit(max ? "MaxPool" : "AveragePool", {e.in(0)},
                         {{"kernel_shape", kernel}, {"strides", kernel}}));
  std::string y = e.in(0);
  for (size_t i = 0; i < o.sizes.size(); ++i)
    y = axis_cells(e, y, o.kind, static_cast<int64_t>(2 + i), o.sizes[i]);
  e.give(y);
}

void lower(const op::Quantize& o, OnnxLowering& e) {
  if (o.dtype != DType::u8 && o.dtype != DType::i8)
    e.unsupported("quantises to a type that ONNX 17 cannot");
  const std::string zero = e.has(2) ? e.in(2) : e.numbers(e.shape(1), 0, o.dtype);
  e.give(e.emit("QuantizeLinear", {e.in(0), e.in(1), zero}, {{"axis", o.axis}}));
}

void lower(const op::Dequantize& o, OnnxLowering& e) {
  e.give(e.emit("DequantizeLinear", {e.in(0), e.in(1), e.in(2)}, {{"axis", o.axis}}));
}

}  // namespace residua
