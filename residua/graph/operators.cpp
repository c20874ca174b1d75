#include "residua/graph/operators.h"

#include <utility>

#include "residua/core/error.h"

namespace residua {

namespace {

constexpr double kMaxSize = INT32_MAX;
constexpr Range kPositive{.min = 1, .max = kMaxSize};
constexpr Range kNotNegative{.min = 0, .max = kMaxSize};
constexpr Range kSizeOrRest{.min = -1, .max = kMaxSize};

template <size_t... I>
std::vector<Operation> all_operations(std::index_sequence<I...>) {
  return {Operation(std::in_place_index<I>)...};
}

}  // namespace

namespace op {

void Conv::fields(Fields& f) {
  f.add("stride", stride, "step along each spatial axis", kPositive);
  f.add("padding", padding, "zeros before each spatial axis, then after each", kNotNegative);
  f.add("dilation", dilation, "distance of the kernel's places", kPositive);
  f.add("groups", groups, "independent groups of channels", kPositive);
  f.add("activation", activation, "function of the result");
}

void ConvTranspose::fields(Fields& f) {
  f.add("stride", stride, "step along each spatial axis", kPositive);
  f.add("padding", padding, "places cut before each spatial axis, then after each", kNotNegative);
  f.add("output_padding", output_padding, "places added after each spatial axis", kNotNegative);
  f.add("dilation", dilation, "distance of the kernel's places", kPositive);
  f.add("groups", groups, "independent groups of channels", kPositive);
}

void Linear::fields(Fields& f) { f.add("activation", activation, "function of the result"); }

void MatMul::fields(Fields& f) {
  f.add("transpose_a", transpose_a, "swap the last two axes of a");
  f.add("transpose_b", transpose_b, "swap the last two axes of b");
  f.add("scale", scale, "factor of the product");
}

void Attention::fields(Fields& f) {
  f.add("scale", scale, "factor of the scores");
  f.add("causal", causal, "no query sees later keys");
}

void BatchNorm::fields(Fields& f) { f.add("eps", eps, "added to the variance", {.min = 0}); }

void LayerNorm::fields(Fields& f) {
  f.add("axes", axes, "number of last axes that are normalised", kPositive);
  f.add("eps", eps, "added to the variance", {.min = 0});
  f.add("rms", rms, "by the root mean square, without subtracting the mean");
}

void GroupNorm::fields(Fields& f) {
  f.add("groups", groups, "groups of channels", kPositive);
  f.add("eps", eps, "added to the variance", {.min = 0});
}

void Pool::fields(Fields& f) {
  f.add("kind", kind, "what is taken of each window");
  f.add("kernel", kernel, "sizes of the window", kPositive);
  f.add("stride", stride, "step along each spatial axis", kPositive);
  f.add("padding", padding, "places before each spatial axis, then after each", kNotNegative);
  f.add("dilation", dilation, "distance of the window's places", kPositive);
  f.add("ceil", ceil, "let the last window hang over the end");
  f.add("count_padding", count_padding, "average: padded places count");
}

void AdaptivePool::fields(Fields& f) {
  f.add("kind", kind, "what is taken of each cell");
  f.add("sizes", sizes, "cells along each spatial axis", kPositive);
}

void Reduce::fields(Fields& f) {
  f.add("kind", kind, "what is taken");
  f.add("axes", axes, "axes that disappear; none: all");
  f.add("keep", keep, "keep the axes, of size 1");
  f.add("unbiased", unbiased, "variance divides by n - 1");
}

void Unary::fields(Fields& f) { f.add("function", function, "function of each element"); }

void Binary::fields(Fields& f) {
  f.add("kind", kind, "function of two elements");
  f.add("activation", activation, "function of the result");
}

void Softmax::fields(Fields& f) {
  f.add("axis", axis, "axis that sums to 1");
  f.add("log", log, "logarithm of the result");
}

void ArgMax::fields(Fields& f) {
  f.add("axis", axis, "axis that is searched");
  f.add("keep", keep, "keep the axis, of size 1");
}

void TopK::fields(Fields& f) {
  f.add("k", k, "number of values", kPositive);
  f.add("axis", axis, "axis that is searched");
  f.add("largest", largest, "the largest first; else the smallest");
}

void Reshape::fields(Fields& f) {
  f.add("sizes", sizes, "the new sizes; -1: the rest", kSizeOrRest);
}

void Transpose::fields(Fields& f) {
  f.add("order", order, "input axis of each output axis", kNotNegative);
}

void Expand::fields(Fields& f) {
  f.add("sizes", sizes, "the new sizes; -1: as it is", kSizeOrRest);
}

void Concat::fields(Fields& f) { f.add("axis", axis, "axis along which the inputs lie"); }

void Slice::fields(Fields& f) {
  f.add("axis", axis, "axis that is cut");
  f.add("start", start, "first place");
  f.add("end", end, "place after the last");
  f.add("step", step, "distance of the places", kPositive);
}

void Pad::fields(Fields& f) {
  f.add("padding", padding, "places before each axis, then after each", kNotNegative);
  f.add("mode", mode, "what the new places hold");
  f.add("value", value, "the constant");
}

void Gather::fields(Fields& f) { f.add("axis", axis, "axis that the indices count"); }

void Cast::fields(Fields& f) { f.add("dtype", dtype, "new element type"); }

void Arange::fields(Fields& f) {
  f.add("start", start, "first number");
  f.add("end", end, "number after the last");
  f.add("dtype", dtype, "element type");
}

void Fill::fields(Fields& f) {
  f.add("sizes", sizes, "sizes of the output", kNotNegative);
  f.add("value", value, "the number");
  f.add("dtype", dtype, "element type");
}

void Triangle::fields(Fields& f) {
  f.add("upper", upper, "keep what lies above the diagonal; else below");
  f.add("diagonal", diagonal, "how far right of the main diagonal");
}

void CumulativeSum::fields(Fields& f) { f.add("axis", axis, "axis along which is added"); }

void Resize::fields(Fields& f) {
  f.add("sizes", sizes, "new sizes of the spatial axes", kPositive);
  f.add("mode", mode, "how places between are read");
  f.add("align_corners", align_corners, "first and last places coincide");
}

void PixelShuffle::fields(Fields& f) { f.add("factor", factor, "growth of a side", kPositive); }

void Quantize::fields(Fields& f) {
  f.add("dtype", dtype, "element type of the integers");
  f.add("axis", axis, "axis of the scales");
}

void Dequantize::fields(Fields& f) { f.add("axis", axis, "axis of the scales"); }

void FusedBlock::fields(Fields& f) {
  f.add("conv_first", conv_first, "the grouped convolution comes first");
  f.add("residual", residual, "add the input");
  f.add("stride", stride, "step of the grouped convolution", kPositive);
  f.add("padding", padding, "zeros around the grouped convolution's input", kNotNegative);
  f.add("groups", groups, "groups of the grouped convolution", kPositive);
  f.add("activation", activation, "function between the convolutions");
}

}  // namespace op

std::string_view name_of(const Operation& operation) {
  return std::visit([](const auto& o) { return o.name; }, operation);
}

Fields describe(Operation& operation) {
  return std::visit([](auto& o) { return describe(o); }, operation);
}

int64_t* find_integer(Operation& operation, std::string_view field, int64_t index) {
  const Fields fields = describe(operation);
  for (const Field& f : fields.list()) {
    if (f.name != field) continue;
    if (const auto* number = std::get_if<int64_t*>(&f.target))
      return index == 0 ? *number : nullptr;
    if (const auto* list = std::get_if<std::vector<int64_t>*>(&f.target))
      if (index >= 0 && index < static_cast<int64_t>((*list)->size()))
        return (*list)->data() + index;
  }
  return nullptr;
}

Operation make_operation(std::string_view name) {
  static const std::vector<Operation> all =
      all_operations(std::make_index_sequence<std::variant_size_v<Operation>>());
  std::vector<std::string_view> names;
  for (const Operation& operation : all) {
    if (name_of(operation) == name) return operation;
    names.push_back(name_of(operation));
  }
  throw Error(ErrorKind::not_found, {.where = std::string(name.substr(0, 80)),
                                     .rule = "is no operator of a graph",
                                     .hint = nearest_names_hint(name, names)});
}

}  // namespace residua
