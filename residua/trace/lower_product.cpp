// Convolutions and products of matrices.
#include <cmath>

#include "residua/trace/lowering.h"

namespace residua {

namespace {

std::vector<int64_t> for_axes(std::vector<int64_t> numbers, size_t axes) {
  if (numbers.size() == 1) numbers.resize(axes, numbers[0]);
  return numbers;
}

std::vector<int64_t> both_sides(const std::vector<int64_t>& padding) {
  std::vector<int64_t> both = padding;
  both.insert(both.end(), padding.begin(), padding.end());
  return both;
}

std::vector<ValueId> with_optional(std::vector<ValueId> inputs, ValueId last) {
  if (last != kNoValue) inputs.push_back(last);
  return inputs;
}

struct ConvArguments {
  size_t stride, padding, dilation, groups;
};

void lower_conv_at(TraceLowering& l, const ConvArguments& at) {
  const auto axes = static_cast<size_t>(l.example(0).dim()) - 2;
  if (l.example(0).dim() < 3) l.unsupported("takes images with a batch axis only");
  if (!l.has(at.padding)) l.unsupported("needs numbers for padding");
  l.give(l.add(op::Conv{.stride = for_axes(l.integers(at.stride), axes),
                        .padding = both_sides(for_axes(l.integers(at.padding), axes)),
                        .dilation = for_axes(l.integers(at.dilation), axes),
                        .groups = l.integer(at.groups)},
               with_optional({l.tensor(0), l.tensor(1)}, l.tensor_or_none(2))));
}

void lower_transposed_at(TraceLowering& l, const ConvArguments& at, size_t output_padding) {
  const auto axes = static_cast<size_t>(l.example(0).dim()) - 2;
  l.give(l.add(op::ConvTranspose{.stride = for_axes(l.integers(at.stride), axes),
                                 .padding = both_sides(for_axes(l.integers(at.padding), axes)),
                                 .output_padding = for_axes(l.integers(output_padding), axes),
                                 .dilation = for_axes(l.integers(at.dilation), axes),
                                 .groups = l.integer(at.groups)},
               with_optional({l.tensor(0), l.tensor(1)}, l.tensor_or_none(2))));
}

void lower_conv(TraceLowering& l) { lower_conv_at(l, {3, 4, 5, 6}); }

void lower_convolution(TraceLowering& l) {
  if (l.flag(6))
    lower_transposed_at(l, {3, 4, 5, 8}, 7);
  else
    lower_conv_at(l, {3, 4, 5, 8});
}

void lower_conv_transpose(TraceLowering& l) { lower_transposed_at(l, {3, 4, 7, 6}, 5); }

void lower_linear(TraceLowering& l) {
  l.give(l.add(op::Linear{}, with_optional({l.tensor(0), l.tensor(1)}, l.tensor_or_none(2))));
}

std::vector<int64_t> swapped(int64_t rank, int64_t a, int64_t b) {
  std::vector<int64_t> order(static_cast<size_t>(rank));
  for (int64_t i = 0; i < rank; ++i) order[static_cast<size_t>(i)] = i;
  std::swap(order[static_cast<size_t>(a)], order[static_cast<size_t>(b)]);
  return order;
}

// a + scale b with a factor where it is not one.
ValueId plus(TraceLowering& l, ValueId a, double factor, ValueId b) {
  if (factor != 1)
    a = l.add(op::Binary{.kind = BinaryKind::multiply}, {a, l.scalar(factor, l.dtype(a))});
  return l.add(op::Binary{}, {a, b});
}

// beta self + alpha a b; as a linear layer where self is its bias.
void lower_addmm(TraceLowering& l) {
  if (l.number(3) == 1 && l.number(4) == 1 && l.example(0).dim() == 1) {
    const ValueId weight = l.add(op::Transpose{{1, 0}}, {l.tensor(2)});
    return l.give(l.add(op::Linear{}, {l.tensor(1), weight, l.tensor(0)}));
  }
  const ValueId product = l.add(op::MatMul{.scale = l.number(4)}, {l.tensor(1), l.tensor(2)});
  l.give(plus(l, l.tensor(0), l.number(3), product));
}

void lower_matmul(TraceLowering& l) {
  ValueId a = l.tensor(0), b = l.tensor(1);
  const int64_t rank_a = l.example(0).dim(), rank_b = l.example(1).dim();
  if (rank_a == 1) a = l.add(op::Reshape{{1, l.example(0).size(0)}}, {a});
  if (rank_b == 1) b = l.add(op::Reshape{{l.example(1).size(0), 1}}, {b});
  const ValueId product = l.add(op::MatMul{}, {a, b});
  l.give(l.reshape(product, l.result().sizes()));
}

void lower_baddbmm(TraceLowering& l) {
  const ValueId product = l.add(op::MatMul{.scale = l.number(4)}, {l.tensor(1), l.tensor(2)});
  l.give(l.number(3) == 0 ? product : plus(l, l.tensor(0), l.number(3), product));
}

void lower_t(TraceLowering& l) {
  l.give(l.example(0).dim() < 2 ? l.tensor(0)
                                : l.add(op::Transpose{swapped(2, 0, 1)}, {l.tensor(0)}));
}

void lower_transpose(TraceLowering& l) {
  const int64_t rank = l.example(0).dim();
  const int64_t a = l.axis(1, rank), b = l.axis(2, rank);
  l.give(a == b ? l.tensor(0) : l.add(op::Transpose{swapped(rank, a, b)}, {l.tensor(0)}));
}

// query, key, value, mask, dropout, causal
void lower_scaled_dot_product(TraceLowering& l) {
  std::vector<ValueId> inputs = {l.tensor(0), l.tensor(1), l.tensor(2)};
  const double size = static_cast<double>(l.example(0).size(-1));
  l.give(l.add(op::Attention{.scale = 1 / std::sqrt(size), .causal = l.flag(5)},
               with_optional(std::move(inputs), l.tensor_or_none(3))));
}

}  // namespace

std::vector<LowerEntry> product_lowerings() {
  return {{"conv1d", lower_conv},
          {"conv2d", lower_conv},
          {"conv3d", lower_conv},
          {"convolution", lower_convolution},
          {"_convolution", lower_convolution},
          {"conv_transpose1d", lower_conv_transpose},
          {"conv_transpose2d", lower_conv_transpose},
          {"linear", lower_linear},
          {"addmm", lower_addmm},
          {"mm", lower_matmul},
          {"bmm", lower_matmul},
          {"matmul", lower_matmul},
          {"baddbmm", lower_baddbmm},
          {"t", lower_t},
          {"transpose", lower_transpose},
          {"scaled_dot_product_attention", lower_scaled_dot_product}};
}

}  // namespace residua
