// Convolutions, products, norms and pools of ONNX.
#include <fmt/format.h>

#include <algorithm>

#include "residua/graph/onnx/import.h"

namespace residua {

namespace {

struct WindowSteps {
  std::vector<int64_t> stride, padding, dilation;
};

// The attributes that convolutions and pools share; `spatial` are the sizes of the input's axes.
WindowSteps window_steps(OnnxNode& n, const Shape& spatial, const std::vector<int64_t>& kernel) {
  const size_t axes = spatial.size();
  WindowSteps w{n.integers("strides", std::vector<int64_t>(axes, 1)),
                n.integers("pads", std::vector<int64_t>(2 * axes, 0)),
                n.integers("dilations", std::vector<int64_t>(axes, 1))};
  const std::string mode = n.text("auto_pad", "NOTSET");
  if (w.stride.size() != axes || w.padding.size() != 2 * axes || w.dilation.size() != axes ||
      kernel.size() != axes)
    n.refuse("must have one number for each spatial axis", fmt::format("{}", axes));
  if (mode == "NOTSET") return w;
  w.padding.assign(2 * axes, 0);
  if (mode == "VALID") return w;
  if (mode != "SAME_UPPER" && mode != "SAME_LOWER") n.refuse("has an unknown auto_pad", {}, mode);
  for (size_t i = 0; i < axes; ++i) {
    if (w.stride[i] < 1 || w.stride[i] > kMaxAxis || w.dilation[i] < 1 ||
        w.dilation[i] > kMaxAxis || kernel[i] < 1 || kernel[i] > kMaxAxis)
      n.refuse("must have positive strides and dilations");
    const int64_t places = (spatial[i] + w.stride[i] - 1) / w.stride[i];
    const int64_t all = std::max<int64_t>(
        0, (places - 1) * w.stride[i] + (kernel[i] - 1) * w.dilation[i] + 1 - spatial[i]);
    w.padding[i] = mode == "SAME_UPPER" ? all / 2 : all - all / 2;
    w.padding[axes + i] = all - w.padding[i];
  }
  return w;
}

Shape spatial_sizes(OnnxNode& n, ValueId x) {
  if (n.rank(x) < 3 || n.rank(x) > 5)
    n.unsupported("reads images with another number of spatial axes than one to three",
                  to_string(n.shape(x)));
  return {n.shape(x).begin() + 2, n.shape(x).end()};
}

// The kernel's sizes; the attribute only repeats them.
Shape kernel_sizes(OnnxNode& n, ValueId weight) {
  if (n.rank(weight) < 3)
    n.refuse("has a weight without spatial axes", {}, to_string(n.shape(weight)));
  const Shape kernel(n.shape(weight).begin() + 2, n.shape(weight).end());
  if (n.integers("kernel_shape", kernel) != kernel)
    n.refuse("has a kernel_shape that is not the weight's", to_string(kernel));
  return kernel;
}

void import_conv(OnnxNode& n) {
  const ValueId x = n.in(0), weight = n.in(1);
  const WindowSteps w = window_steps(n, spatial_sizes(n, x), kernel_sizes(n, weight));
  n.give(n.add(op::Conv{.stride = w.stride,
                        .padding = w.padding,
                        .dilation = w.dilation,
                        .groups = n.integer("group", 1)},
               {x, weight, n.find(2)}));
}

void import_conv_transpose(OnnxNode& n) {
  const ValueId x = n.in(0), weight = n.in(1);
  const Shape spatial = spatial_sizes(n, x);
  const std::string mode = n.text("auto_pad", "NOTSET");
  if ((mode != "NOTSET" && mode != "VALID") || n.has_attribute("output_shape"))
    n.unsupported("leaves its padding to be computed from the output's shape");
  const WindowSteps w = window_steps(n, spatial, kernel_sizes(n, weight));
  n.give(n.add(op::ConvTranspose{.stride = w.stride,
                                 .padding = w.padding,
                                 .output_padding = n.integers(
                                     "output_padding", std::vector<int64_t>(spatial.size(), 0)),
                                 .dilation = w.dilation,
                                 .groups = n.integer("group", 1)},
               {x, weight, n.find(2)}));
}

// alpha a b + beta c.
void import_gemm(OnnxNode& n) {
  const double alpha = n.number("alpha", 1), beta = n.number("beta", 1);
  ValueId a = n.in(0), b = n.in(1), c = n.find(2);
  const bool turned_a = n.integer("transA", 0) != 0, turned_b = n.integer("transB", 0) != 0;
  if (n.rank(a) != 2 || n.rank(b) != 2) n.refuse("needs matrices");
  const DType dtype = n.type(a).dtype;
  if (alpha == 1 && (c == kNoValue || (beta == 1 && n.rank(c) == 1 &&
                                       n.shape(c)[0] == n.shape(b)[turned_b ? 0 : 1]))) {
    if (turned_a) a = n.add(op::Transpose{{1, 0}}, {a});
    if (!turned_b) b = n.add(op::Transpose{{1, 0}}, {b});
    return n.give(n.add(op::Linear{}, {a, b, c}));
  }
  ValueId y =
      n.add(op::MatMul{.transpose_a = turned_a, .transpose_b = turned_b, .scale = alpha}, {a, b});
  if (c != kNoValue) {
    if (beta != 1) c = n.add(op::Binary{BinaryKind::multiply}, {c, n.scalar(beta, dtype)});
    y = n.add(op::Binary{BinaryKind::add}, {y, c});
  }
  n.give(y);
}

// As numpy.matmul: a list is a row on the left, a column on the right.
void import_matmul(OnnxNode& n) {
  ValueId a = n.in(0), b = n.in(1);
  const bool row = n.rank(a) == 1, column = n.rank(b) == 1;
  if (n.rank(a) == 0 || n.rank(b) == 0) n.refuse("needs matrices or lists");
  if (row) a = n.reshape(a, {1, n.shape(a)[0]});
  if (column) b = n.reshape(b, {n.shape(b)[0], 1});
  ValueId y = n.add(op::MatMul{}, {a, b});
  if (row || column) {
    Shape shape = n.shape(y);
    if (column) shape.pop_back();
    if (row) shape.erase(shape.end() - (column ? 1 : 2));
    y = n.reshape(y, shape);
  }
  n.give(y);
}

void import_batch_norm(OnnxNode& n) {
  const double eps = n.number("epsilon", 1e-5f);
  n.ignore({"momentum"});
  if (n.integer("training_mode", 0) != 0) n.unsupported("is in training mode");
  n.give(n.add(op::BatchNorm{eps}, {n.in(0), n.in(3), n.in(4), n.in(1), n.in(2)}));
}

void import_instance_norm(OnnxNode& n) {
  const ValueId x = n.in(0);
  if (n.rank(x) < 3) n.refuse("needs spatial axes", {}, to_string(n.shape(x)));
  n.give(n.add(op::GroupNorm{.groups = n.shape(x)[1], .eps = n.number("epsilon", 1e-5f)},
               {x, n.in(1), n.in(2)}));
}

// Before opset 21 scale and bias have one number for each group.
void import_group_norm(OnnxNode& n) {
  const ValueId x = n.in(0);
  const int64_t groups = n.integer("num_groups", 0);
  const double eps = n.number("epsilon", 1e-5f);
  if (n.rank(x) < 2 || groups < 1 || n.shape(x)[1] % groups != 0)
    n.refuse("needs channels that are a multiple of num_groups", {}, to_string(n.shape(x)));
  const int64_t each = n.shape(x)[1] / groups;
  const auto spread = [&](ValueId parameter) {
    if (n.shape(parameter) != Shape{groups}) n.refuse("needs one number for each group");
    const ValueId repeated = n.add(op::Expand{{-1, each}}, {n.reshape(parameter, {groups, 1})});
    return n.reshape(repeated, {groups * each});
  };
  n.give(n.add(op::GroupNorm{.groups = groups, .eps = eps}, {x, spread(n.in(1)), spread(n.in(2))}));
}

void import_layer_norm(OnnxNode& n) {
  const ValueId x = n.in(0);
  const int64_t axis = n.axis(n.integer("axis", -1), n.rank(x));
  const double eps = n.number("epsilon", 1e-5f);
  n.ignore({"stash_type"});
  const auto parameter = [&](size_t i) {
    const ValueId id = n.find(i);
    const Shape normalised(n.shape(x).begin() + axis, n.shape(x).end());
    if (id == kNoValue || n.shape(id) == normalised) return id;
    return n.add(op::Expand{normalised}, {id});
  };
  n.give(
      n.add(op::LayerNorm{.axes = n.rank(x) - axis, .eps = eps}, {x, parameter(1), parameter(2)}));
}

void import_pool(OnnxNode& n) {
  const ValueId x = n.in(0);
  const Shape spatial = spatial_sizes(n, x);
  const std::vector<int64_t> kernel = n.integers("kernel_shape", {});
  const WindowSteps w = window_steps(n, spatial, kernel);
  const bool max = n.op() == "MaxPool";
  if (n.integer("storage_order", 0) != 0) n.unsupported("counts places by columns");
  n.give(n.add(op::Pool{.kind = max ? PoolKind::max : PoolKind::average,
                        .kernel = kernel,
                        .stride = w.stride,
                        .padding = w.padding,
                        .dilation = w.dilation,
                        .ceil = n.integer("ceil_mode", 0) != 0,
                        .count_padding = n.integer("count_include_pad", 0) != 0},
               {x}));
}

void import_global_pool(OnnxNode& n) {
  const ValueId x = n.in(0);
  const Shape spatial = spatial_sizes(n, x);
  n.give(
      n.add(op::AdaptivePool{.kind = n.op() == "GlobalMaxPool" ? PoolKind::max : PoolKind::average,
                             .sizes = std::vector<int64_t>(spatial.size(), 1)},
            {x}));
}

// "ImageNet Classification with Deep Convolutional Neural Networks", section 3.3:
// x / (bias + alpha / size * sum of x^2 over the channels around)^beta.
void import_local_response_norm(OnnxNode& n) {
  const ValueId x = n.in(0);
  const int64_t size = n.integer("size", 0);
  const double alpha = n.number("alpha", 1e-4f), beta = n.number("beta", 0.75f);
  const double bias = n.number("bias", 1);
  if (n.rank(x) != 4) n.unsupported("is read for images only", to_string(n.shape(x)));
  if (size < 1 || size > n.shape(x)[1] * 2) n.refuse("has a size out of range");
  const Shape shape = n.shape(x);
  const DType dtype = n.type(x).dtype;
  const ValueId square = n.add(op::Unary{{UnaryKind::square}}, {x});
  const ValueId volume = n.reshape(square, {shape[0], 1, shape[1], shape[2], shape[3]});
  const int64_t before = (size - 1) / 2, after = size - 1 - before;
  const ValueId mean = n.add(op::Pool{.kind = PoolKind::average,
                                      .kernel = {size, 1, 1},
                                      .stride = {1, 1, 1},
                                      .padding = {before, 0, 0, after, 0, 0},
                                      .dilation = {1, 1, 1}},
                             {volume});
  ValueId scale =
      n.add(op::Binary{BinaryKind::multiply}, {n.reshape(mean, shape), n.scalar(alpha, dtype)});
  scale = n.add(op::Binary{BinaryKind::add}, {scale, n.scalar(bias, dtype)});
  scale = n.add(op::Binary{BinaryKind::power}, {scale, n.scalar(beta, dtype)});
  n.give(n.add(op::Binary{BinaryKind::divide}, {x, scale}));
}

void import_quantize(OnnxNode& n) {
  const ValueId x = n.in(0), scale = n.in(1), zero = n.find(2);
  n.ignore({"saturate"});
  n.give(n.add(op::Quantize{.dtype = zero == kNoValue ? DType::u8 : n.type(zero).dtype,
                            .axis = n.integer("axis", 1)},
               {x, scale, zero}));
}

void import_dequantize(OnnxNode& n) {
  n.give(n.add(op::Dequantize{.axis = n.integer("axis", 1)}, {n.in(0), n.in(1), n.find(2)}));
}

}  // namespace

void add_layer_operators(OnnxOperators& table) {
  table["Conv"] = import_conv;
  table["ConvTranspose"] = import_conv_transpose;
  table["Gemm"] = import_gemm;
  table["MatMul"] = import_matmul;
  table["BatchNormalization"] = import_batch_norm;
  table["InstanceNormalization"] = import_instance_norm;
  table["GroupNormalization"] = import_group_norm;
  table["LayerNormalization"] = import_layer_norm;
  table["MaxPool"] = import_pool;
  table["AveragePool"] = import_pool;
  table["GlobalAveragePool"] = import_global_pool;
  table["GlobalMaxPool"] = import_global_pool;
  table["LRN"] = import_local_response_norm;
  table["QuantizeLinear"] = import_quantize;
  table["DequantizeLinear"] = import_dequantize;
}

}  // namespace residua
