#include "residua/trace/torchscript_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>

#include "residua/core/error.h"

namespace residua {

std::string script_number(double number) {
  if (std::isinf(number)) return number > 0 ? "float(\"inf\")" : "float(\"-inf\")";
  if (std::isnan(number)) return "float(\"nan\")";
  return fmt::format("{:#.17g}", number);
}

std::string script_list(const std::vector<int64_t>& numbers) {
  return fmt::format("[{}]", fmt::join(numbers, ", "));
}

// TorchScript knows element types as numbers.
std::string script_dtype(DType dtype) {
  switch (dtype) {
    case DType::boolean: return "11";
    case DType::u8: return "0";
    case DType::i8: return "1";
    case DType::i16: return "2";
    case DType::i32: return "3";
    case DType::i64: return "4";
    case DType::f16: return "5";
    case DType::bf16: return "15";
    case DType::f64: return "7";
    default: return "6";
  }
}

std::string script_rule(const SymbolRule& rule) {
  return fmt::format("({} * size_{} + {})", rule.factor, rule.symbol, rule.offset);
}

std::string ScriptNode::integer(std::string_view field, int64_t number, int64_t index) const {
  for (const NodeRule& rule : node_.rules)
    if (rule.field == field && rule.index == index) return script_rule(rule.rule);
  return std::to_string(number);
}

std::string ScriptNode::list(std::string_view field, const std::vector<int64_t>& numbers) const {
  std::vector<std::string> parts;
  for (size_t i = 0; i < numbers.size(); ++i)
    parts.push_back(integer(field, numbers[i], static_cast<int64_t>(i)));
  return fmt::format("[{}]", fmt::join(parts, ", "));
}

void ScriptNode::unsupported(std::string rule) const {
  throw Error(ErrorKind::unsupported,
              {.where = label(graph_, node_), .rule = "TorchScript: " + std::move(rule)});
}

std::string script_function(const op::Activation& function, const std::string& x) {
  // In the order of UnaryKind; {0} is the operand, {1} and {2} the function's numbers.
  static constexpr std::array<const char*, EnumNames<UnaryKind>::names.size()> kText{
      "{0}",
      "torch.relu({0})",
      "torch.leaky_relu({0}, {1})",
      "torch.elu({0}, {1})",
      "torch.selu({0})",
      "torch.gelu({0})",
      "torch.gelu({0}, approximate=\"tanh\")",
      "torch.silu({0})",
      "torch.sigmoid({0})",
      "torch.hardsigmoid({0})",
      "torch.hardswish({0})",
      "torch.tanh({0})",
      "torch.softplus({0}, {2})",
      "torch.mish({0})",
      "torch.clamp({0}, {1}, {2})",
      "torch.exp({0})",
      "torch.log({0})",
      "torch.log1p({0})",
      "torch.sqrt({0})",
      "torch.rsqrt({0})",
      "torch.square({0})",
      "torch.reciprocal({0})",
      "torch.neg({0})",
      "torch.abs({0})",
      "torch.sign({0})",
      "torch.floor({0})",
      "torch.ceil({0})",
      "torch.round({0})",
      "torch.sin({0})",
      "torch.cos({0})",
      "torch.erf({0})",
      "torch.logical_not({0})"};
  return fmt::format(fmt::runtime(kText[static_cast<size_t>(function.kind)]), x,
                     script_number(function.alpha), script_number(function.beta));
}

namespace {

using Padding = std::vector<int64_t>;

// Both ends alike: the padding of the axes.
bool is_even(const Padding& padding) {
  const size_t axes = padding.size() / 2;
  return std::equal(padding.begin(), padding.begin() + static_cast<int64_t>(axes),
                    padding.begin() + static_cast<int64_t>(axes));
}
std::string before(const Padding& padding) {
  return script_list({padding.begin(), padding.begin() + static_cast<int64_t>(padding.size() / 2)});
}
// As libtorch's pads list it: the last axis first. The first `skipped` axes are left out.
std::string in_pairs(const ScriptNode& n, const Padding& padding, size_t skipped = 0) {
  const size_t axes = padding.size() / 2;
  std::vector<std::string> pairs;
  for (size_t i = axes; i-- > skipped;)
    for (const size_t at : {i, axes + i})
      pairs.push_back(n.integer("padding", padding[at], static_cast<int64_t>(at)));
  return fmt::format("[{}]", fmt::join(pairs, ", "));
}
std::string padded(const ScriptNode& n, const Padding& padding, double value) {
  return fmt::format("torch.constant_pad_nd({}, {}, {})", n.in(0), in_pairs(n, padding),
                     script_number(value));
}

std::string finished(const ScriptNode& n, std::string x, size_t summand,
                     const op::Activation& activation) {
  if (n.has(summand)) x = fmt::format("torch.add({}, {})", x, n.in(summand));
  return script_function(activation, x);
}

std::string write(const ScriptNode& n, const op::Conv& o) {
  std::string x = n.in(0), padding = before(o.padding);
  if (!is_even(o.padding)) {
    x = padded(n, o.padding, 0);
    padding = script_list(Padding(o.padding.size() / 2, 0));
  }
  return finished(
      n,
      fmt::format("torch.conv{}d({}, {}, {}, {}, {}, {}, {})", o.stride.size(), x, n.in(1), n.in(2),
                  script_list(o.stride), padding, script_list(o.dilation), o.groups),
      3, o.activation);
}

std::string write(const ScriptNode& n, const op::ConvTranspose& o) {
  if (!is_even(o.padding)) n.unsupported("has transposed convolutions of even padding only");
  return fmt::format("torch.conv_transpose{}d({}, {}, {}, {}, {}, {}, {}, {})", o.stride.size(),
                     n.in(0), n.in(1), n.in(2), script_list(o.stride), before(o.padding),
                     script_list(o.output_padding), o.groups, script_list(o.dilation));
}

std::string write(const ScriptNode& n, const op::Linear& o) {
  return finished(n, fmt::format("torch.linear({}, {}, {})", n.in(0), n.in(1), n.in(2)), 3,
                  o.activation);
}

std::string write(const ScriptNode& n, const op::MatMul& o) {
  const auto operand = [&](size_t i, bool transpose) {
    return transpose ? fmt::format("torch.transpose({}, -1, -2)", n.in(i)) : n.in(i);
  };
  const std::string product =
      fmt::format("torch.matmul({}, {})", operand(0, o.transpose_a), operand(1, o.transpose_b));
  return o.scale == 1 ? product : fmt::format("torch.mul({}, {})", product, script_number(o.scale));
}

std::string write(const ScriptNode& n, const op::Attention& o) {
  const int64_t sharing = n.type(0).shape[1] / n.type(1).shape[1];
  const auto shared = [&](size_t i) {
    return sharing == 1 ? n.in(i)
                        : fmt::format("torch.repeat_interleave({}, {}, 1)", n.in(i), sharing);
  };
  std::string scores = fmt::format("torch.mul(torch.matmul({}, torch.transpose({}, -1, -2)), {})",
                                   n.in(0), shared(1), script_number(o.scale));
  if (n.has(3)) scores = fmt::format("torch.add({}, {})", scores, n.in(3));
  if (o.causal)
    scores = fmt::format(
        "torch.add({0}, torch.triu(torch.full_like({0}, float(\"-inf\")), 1 + {2}.size(2) - "
        "{1}.size(2)))",
        scores, n.in(0), n.in(1));
  return fmt::format("torch.matmul(torch.softmax({}, -1), {})", scores, shared(2));
}

std::string write(const ScriptNode& n, const op::BatchNorm& o) {
  return fmt::format("torch.batch_norm({}, {}, {}, {}, {}, False, 0.0, {}, False)", n.in(0),
                     n.in(3), n.in(4), n.in(1), n.in(2), script_number(o.eps));
}

std::string write(const ScriptNode& n, const op::LayerNorm& o) {
  if (!o.rms)
    return fmt::format("torch.layer_norm({0}, {0}.size()[{1}:], {2}, {3}, {4}, False)", n.in(0),
                       static_cast<int64_t>(n.rank(0)) - o.axes, n.in(1), n.in(2),
                       script_number(o.eps));
  std::vector<int64_t> axes;
  for (int64_t i = 0; i < o.axes; ++i) axes.push_back(i - o.axes);
  std::string y = fmt::format(
      "torch.mul({0}, torch.rsqrt(torch.add(torch.mean(torch.square({0}), {1}, True), {2})))",
      n.in(0), script_list(axes), script_number(o.eps));
  if (n.has(1)) y = fmt::format("torch.mul({}, {})", y, n.in(1));
  if (n.has(2)) y = fmt::format("torch.add({}, {})", y, n.in(2));
  return y;
}

std::string write(const ScriptNode& n, const op::GroupNorm& o) {
  return fmt::format("torch.group_norm({}, {}, {}, {}, {}, False)", n.in(0), o.groups, n.in(1),
                     n.in(2), script_number(o.eps));
}

std::string write(const ScriptNode& n, const op::Pool& o) {
  const bool max = o.kind == PoolKind::max;
  std::string x = n.in(0), padding = before(o.padding);
  if (!is_even(o.padding)) {
    if (!max && !o.count_padding)
      n.unsupported("has averages over uneven padding only where it counts");
    x = padded(n, o.padding, max ? -INFINITY : 0);
    padding = script_list(Padding(o.padding.size() / 2, 0));
  }
  const char* ceil = o.ceil ? "True" : "False";
  if (max)
    return fmt::format("torch.max_pool{}d({}, {}, {}, {}, {}, {})", o.kernel.size(), x,
                       script_list(o.kernel), script_list(o.stride), padding,
                       script_list(o.dilation), ceil);
  return fmt::format("torch.avg_pool{}d({}, {}, {}, {}, {}, {})", o.kernel.size(), x,
                     script_list(o.kernel), script_list(o.stride), padding, ceil,
                     o.count_padding ? "True" : "False");
}

std::string write(const ScriptNode& n, const op::AdaptivePool& o) {
  const std::string sizes = n.list("sizes", o.sizes);
  return o.kind == PoolKind::average
             ? fmt::format("torch.adaptive_avg_pool{}d({}, {})", o.sizes.size(), n.in(0), sizes)
             : fmt::format("torch.adaptive_max_pool{}d({}, {})[0]", o.sizes.size(), n.in(0), sizes);
}

std::vector<int64_t> all_axes(const ScriptNode& n, const op::Reduce& o) {
  std::vector<int64_t> axes = o.axes;
  const auto rank = static_cast<int64_t>(n.rank(0));
  if (axes.empty())
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  for (int64_t& axis : axes) axis = axis < 0 ? axis + rank : axis;
  std::sort(axes.begin(), axes.end(), std::greater<>());
  return axes;
}

std::string write(const ScriptNode& n, const op::Reduce& o) {
  const std::vector<int64_t> axes = all_axes(n, o);
  const std::string keep = o.keep ? "True" : "False", list = script_list(axes);
  const auto call = [&](const char* name, const std::string& x) {
    return fmt::format("torch.{}({}, {}, {})", name, x, list, keep);
  };
  switch (o.kind) {
    case ReduceKind::sum: return call("sum", n.in(0));
    case ReduceKind::mean: return call("mean", n.in(0));
    case ReduceKind::max: return call("amax", n.in(0));
    case ReduceKind::min: return call("amin", n.in(0));
    case ReduceKind::l2:
      return fmt::format("torch.sqrt({})", call("sum", "torch.square(" + n.in(0) + ")"));
    case ReduceKind::variance:
      return fmt::format("torch.var({}, {}, {}, {})", n.in(0), list, o.unbiased ? "True" : "False",
                         keep);
    case ReduceKind::prod: {
      std::string x = n.in(0);
      for (const int64_t axis : axes) x = fmt::format("torch.prod({}, {}, {})", x, axis, keep);
      return x;
    }
  }
  return {};
}

std::string write(const ScriptNode& n, const op::Unary& o) {
  return script_function(o.function, n.in(0));
}

std::string write(const ScriptNode& n, const op::Binary& o) {
  // In the order of BinaryKind.
  static constexpr std::array<const char*, EnumNames<BinaryKind>::names.size()> kName{
      "add", "sub", "mul", "div", "pow",         "minimum",    "maximum",      "eq",       "ne",
      "lt",  "le",  "gt",  "ge",  "logical_and", "logical_or", "floor_divide", "remainder"};
  const char* name = kName[static_cast<size_t>(o.kind)];
  std::string y = fmt::format("torch.{}({}, {})", name, n.in(0), n.in(1));
  // Whole numbers divide to whole numbers in a graph.
  const DType dtype = n.result().dtype;
  if (o.kind == BinaryKind::divide && dtype != DType::f32 && dtype != DType::f64 &&
      dtype != DType::bf16 && dtype != DType::f16)
    y = fmt::format("torch.div({}, {}, rounding_mode=\"trunc\")", n.in(0), n.in(1));
  return script_function(o.activation, y);
}

std::string write(const ScriptNode& n, const op::Where&) {
  return fmt::format("torch.where({}, {}, {})", n.in(0), n.in(1), n.in(2));
}
std::string write(const ScriptNode& n, const op::Softmax& o) {
  return fmt::format("torch.{}({}, {})", o.log ? "log_softmax" : "softmax", n.in(0), o.axis);
}
std::string write(const ScriptNode& n, const op::ArgMax& o) {
  return fmt::format("torch.argmax({}, {}, {})", n.in(0), o.axis, o.keep ? "True" : "False");
}
std::string write(const ScriptNode& n, const op::TopK& o) {
  return fmt::format("torch.topk({}, {}, {}, {}, True)", n.in(0), n.integer("k", o.k), o.axis,
                     o.largest ? "True" : "False");
}
std::string write(const ScriptNode& n, const op::Reshape& o) {
  return fmt::format("torch.reshape({}, {})", n.in(0), n.list("sizes", o.sizes));
}
std::string write(const ScriptNode& n, const op::Transpose& o) {
  return fmt::format("torch.permute({}, {})", n.in(0), script_list(o.order));
}
std::string write(const ScriptNode& n, const op::Expand& o) {
  return fmt::format("torch.expand({}, {})", n.in(0), n.list("sizes", o.sizes));
}
std::string write(const ScriptNode& n, const op::Concat& o) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < n.inputs(); ++i) parts.push_back(n.in(i));
  return fmt::format("torch.cat([{}], {})", fmt::join(parts, ", "), o.axis);
}
std::string write(const ScriptNode& n, const op::Slice& o) {
  return fmt::format("torch.slice({}, {}, {}, {}, {})", n.in(0), o.axis,
                     n.integer("start", o.start), n.integer("end", o.end),
                     n.integer("step", o.step));
}

std::string write(const ScriptNode& n, const op::Pad& o) {
  if (o.mode == PadMode::constant) return padded(n, o.padding, o.value);
  const size_t rank = o.padding.size() / 2;
  size_t first = 0;  // libtorch wants the last axes alone here
  while (first < rank && o.padding[first] == 0 && o.padding[rank + first] == 0) ++first;
  return fmt::format("torch.pad({}, {}, \"{}\")", n.in(0), in_pairs(n, o.padding, first),
                     o.mode == PadMode::reflect ? "reflect" : "replicate");
}

std::string write(const ScriptNode& n, const op::Gather& o) {
  const auto rank = static_cast<int64_t>(n.rank(0));
  const int64_t axis = o.axis < 0 ? o.axis + rank : o.axis;
  return fmt::format(
      "torch.reshape(torch.index_select({0}, {2}, torch.remainder(torch.reshape({1}, [-1]), "
      "{0}.size({2}))), {0}.size()[0:{2}] + {1}.size() + {0}.size()[{3}:])",
      n.in(0), n.in(1), axis, axis + 1);
}

std::string write(const ScriptNode& n, const op::Cast& o) {
  return fmt::format("torch.to({}, {}, False, False)", n.in(0), script_dtype(o.dtype));
}
std::string write(const ScriptNode& n, const op::Arange& o) {
  return fmt::format("torch.arange({}, {}, dtype={})", n.integer("start", o.start),
                     n.integer("end", o.end), script_dtype(o.dtype));
}
std::string write(const ScriptNode& n, const op::Fill& o) {
  return fmt::format("torch.full({}, {}, dtype={})", n.list("sizes", o.sizes),
                     script_number(o.value), script_dtype(o.dtype));
}
std::string write(const ScriptNode& n, const op::Triangle& o) {
  return fmt::format("torch.{}({}, {})", o.upper ? "triu" : "tril", n.in(0),
                     n.integer("diagonal", o.diagonal));
}
std::string write(const ScriptNode& n, const op::CumulativeSum& o) {
  return fmt::format("torch.cumsum({}, {})", n.in(0), o.axis);
}

std::string write(const ScriptNode& n, const op::Resize& o) {
  const std::string sizes = n.list("sizes", o.sizes);
  if (o.mode == ResizeMode::nearest)
    return fmt::format("torch.upsample_nearest{}d({}, {})", o.sizes.size(), n.in(0), sizes);
  if (o.sizes.size() != 2) n.unsupported("resizes smoothly over two axes only here");
  return fmt::format("torch.upsample_{}2d({}, {}, {})",
                     o.mode == ResizeMode::cubic ? "bicubic" : "bilinear", n.in(0), sizes,
                     o.align_corners ? "True" : "False");
}
std::string write(const ScriptNode& n, const op::PixelShuffle& o) {
  return fmt::format("torch.pixel_shuffle({}, {})", n.in(0), o.factor);
}

// A scale or zero point of each place of an axis, beside x.
std::string along(const ScriptNode& n, size_t i, int64_t axis) {
  if (n.type(i).shape.empty()) return n.in(i);
  std::vector<int64_t> sizes(n.rank(0), 1);
  sizes[static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(n.rank(0)) : axis)] = -1;
  return fmt::format("torch.reshape({}, {})", n.in(i), script_list(sizes));
}

std::string write(const ScriptNode& n, const op::Quantize& o) {
  const bool is_signed = o.dtype == DType::i8;
  if (!is_signed && o.dtype != DType::u8) n.unsupported("quantizes to eight bits only here");
  std::string y = fmt::format("torch.round(torch.div({}, {}))", n.in(0), along(n, 1, o.axis));
  if (n.has(2)) y = fmt::format("torch.add({}, {})", y, along(n, 2, o.axis));
  return fmt::format("torch.to(torch.clamp({}, {}, {}), {}, False, False)", y, is_signed ? -128 : 0,
                     is_signed ? 127 : 255, script_dtype(o.dtype));
}
std::string write(const ScriptNode& n, const op::Dequantize& o) {
  std::string x =
      fmt::format("torch.to({}, {}, False, False)", n.in(0), script_dtype(n.type(1).dtype));
  if (n.has(2)) x = fmt::format("torch.sub({}, {})", x, along(n, 2, o.axis));
  return fmt::format("torch.mul({}, {})", x, along(n, 1, o.axis));
}

std::string write(const ScriptNode& n, const op::FusedBlock&) {
  n.unsupported("has no such block; export the graph before blocks are fused");
}

}  // namespace

std::string script_expression(const ScriptNode& node, const Operation& operation) {
  return std::visit([&](const auto& o) { return write(node, o); }, operation);
}

}  // namespace residua
