// What moves numbers without computing with them.
#include <ATen/ATen.h>

#include <algorithm>

#include "residua/trace/lowering.h"

namespace residua {

namespace {

void lower_reshape(TraceLowering& l) { l.give(l.reshape(l.tensor(0), l.result().sizes())); }

void lower_permute(TraceLowering& l) {
  std::vector<int64_t> order = l.integers(1);
  for (int64_t& axis : order)
    if (axis < 0) axis += l.example(0).dim();
  l.give(l.add(op::Transpose{order}, {l.tensor(0)}));
}

void lower_expand(TraceLowering& l) {
  const auto sizes = l.result().sizes();
  const ValueId x = l.tensor(0);
  l.give(at::IntArrayRef(l.shape(x)) == sizes ? x : l.add(op::Expand{sizes.vec()}, {x}));
}

// Each axis that is repeated in two, the first of size 1 and expanded.
void lower_repeat(TraceLowering& l) {
  const std::vector<int64_t> repeats = l.integers(1);
  const auto sizes = l.example(0).sizes();
  const size_t added = repeats.size() - sizes.size();
  std::vector<int64_t> apart, repeated;
  for (size_t i = 0; i < repeats.size(); ++i) {
    const int64_t size = i < added ? 1 : sizes[i - added];
    if (repeats[i] != 1) {
      apart.push_back(1);
      repeated.push_back(repeats[i]);
    }
    apart.push_back(size);
    repeated.push_back(size);
  }
  const ValueId expanded = l.add(op::Expand{repeated}, {l.reshape(l.tensor(0), apart)});
  l.give(l.reshape(expanded, l.result().sizes()));
}

void lower_cat(TraceLowering& l) {
  std::vector<ValueId> parts = l.tensors(0);
  // An empty list of numbers may stand beside tensors of any rank.
  std::erase_if(parts, [&](ValueId part) { return l.shape(part) == Shape{0}; });
  l.give(l.add(op::Concat{l.axis(1, l.result().dim())}, parts));
}

void lower_stack(TraceLowering& l) {
  const int64_t axis = l.axis(1, l.result().dim());
  std::vector<int64_t> sizes = l.result().sizes().vec();
  sizes[static_cast<size_t>(axis)] = 1;
  std::vector<ValueId> parts = l.tensors(0);
  for (ValueId& part : parts) part = l.reshape(part, sizes);
  l.give(l.add(op::Concat{axis}, parts));
}

// Of one place along an axis: the axis goes.
ValueId place(TraceLowering& l, int64_t axis, int64_t index, const at::IntArrayRef& sizes) {
  const ValueId row =
      l.add(op::Slice{.axis = axis, .start = index, .end = index == -1 ? INT64_MAX : index + 1},
            {l.tensor(0)});
  return l.reshape(row, sizes);
}

void lower_select(TraceLowering& l) {
  l.give(place(l, l.axis(1, l.example(0).dim()), l.integer(2), l.result().sizes()));
}

void lower_unbind(TraceLowering& l) {
  const int64_t axis = l.has(1) ? l.axis(1, l.example(0).dim()) : 0;
  for (int64_t i = 0; i < l.example(0).size(axis); ++i)
    l.give(place(l, axis, i, l.result().sizes()), static_cast<size_t>(i));
}

void lower_slice(TraceLowering& l) {
  const int64_t axis = l.has(1) ? l.axis(1, l.example(0).dim()) : 0;
  op::Slice slice{.axis = axis};
  if (l.has(2)) slice.start = l.integer(2);
  if (l.has(3)) slice.end = l.integer(3);
  if (l.has(4)) slice.step = l.integer(4);
  if (slice.start == INT64_MIN) slice.start = 0;
  const bool all = slice.start == 0 && slice.step == 1 && slice.end >= l.example(0).size(axis);
  l.give(all ? l.tensor(0) : l.add(slice, {l.tensor(0)}));
}

void lower_narrow(TraceLowering& l) {
  const int64_t start = l.integer(2), length = l.integer(3);
  const int64_t axis = l.axis(1, l.example(0).dim());
  const int64_t end = start < 0 && start + length == 0 ? INT64_MAX : start + length;
  l.give(l.add(op::Slice{.axis = axis, .start = start, .end = end}, {l.tensor(0)}));
}

// split, split_with_sizes and chunk: the sizes of what came out say where it was cut.
void lower_split(TraceLowering& l) {
  const int64_t axis = l.has(2) ? l.axis(2, l.example(0).dim()) : 0;
  const int64_t size = l.example(0).size(axis);
  int64_t start = 0;
  for (size_t k = 0; start < size || k == 0; ++k) {
    const int64_t length = l.result(k).size(axis);
    l.give(l.add(op::Slice{.axis = axis, .start = start, .end = start + length}, {l.tensor(0)}), k);
    start += length;
  }
}

void lower_index_select(TraceLowering& l) {
  l.give(l.add(op::Gather{l.axis(1, l.example(0).dim())}, {l.tensor(0), l.tensor(2)}));
}

void lower_embedding(TraceLowering& l) { l.give(l.add(op::Gather{0}, {l.tensor(0), l.tensor(1)})); }

// libtorch lists the last axis first, each with before and after.
void lower_pad_by(TraceLowering& l, PadMode mode, double value) {
  const std::vector<int64_t> pairs = l.integers(1);
  const auto rank = static_cast<size_t>(l.example(0).dim());
  std::vector<int64_t> padding(2 * rank, 0);
  for (size_t i = 0; i + 1 < pairs.size(); i += 2) {
    padding[rank - 1 - i / 2] = pairs[i];
    padding[2 * rank - 1 - i / 2] = pairs[i + 1];
  }
  l.give(l.add(op::Pad{.padding = padding, .mode = mode, .value = value}, {l.tensor(0)}));
}

void lower_constant_pad(TraceLowering& l) {
  lower_pad_by(l, PadMode::constant, l.has(2) ? l.number(2) : 0);
}
void lower_reflection_pad(TraceLowering& l) { lower_pad_by(l, PadMode::reflect, 0); }
void lower_replication_pad(TraceLowering& l) { lower_pad_by(l, PadMode::replicate, 0); }

void lower_pad(TraceLowering& l) {
  const std::string mode = l.text(2);
  if (mode == "circular") l.unsupported("pads in a circle");
  lower_pad_by(l,
               mode == "reflect"     ? PadMode::reflect
               : mode == "replicate" ? PadMode::replicate
                                     : PadMode::constant,
               l.has(3) ? l.number(3) : 0);
}

// Factories whose sizes may follow a symbol.
void give_filled(TraceLowering& l, double value) {
  const at::Tensor y = l.result();
  l.give(l.add(op::Fill{y.sizes().vec(), value, dtype_of(y.scalar_type())}, {}));
}
void lower_full(TraceLowering& l) { give_filled(l, l.number(1)); }
// Written over whatever stood there.
void lower_fill(TraceLowering& l) {
  if (!l.is_tensor(1)) return give_filled(l, l.number(1));
  const ValueId number = l.cast(l.tensor(1), dtype_of(l.result().scalar_type()));
  l.give(l.add(op::Expand{l.result().sizes().vec()}, {number}));
}
void lower_zeros(TraceLowering& l) { give_filled(l, 0); }
void lower_ones(TraceLowering& l) { give_filled(l, 1); }

void lower_arange(TraceLowering& l) {
  const at::Tensor y = l.result();
  const double begin = y.numel() > 0 ? y[0].item<double>() : 0;
  const auto first = static_cast<int64_t>(begin);
  if (static_cast<double>(first) != begin) l.unsupported("counts from a broken number");
  const int64_t step = y.numel() > 1 ? static_cast<int64_t>(y[1].item<double>() - begin) : 1;
  ValueId counted = kNoValue;
  if (step == 1) {
    counted = l.add(op::Arange{first, first + y.numel(), DType::i64}, {});
  } else {
    counted = l.add(op::Arange{0, y.numel(), DType::i64}, {});
    for (const auto& [kind, number] :
         {std::pair{BinaryKind::multiply, step}, {BinaryKind::add, first}})
      counted = l.add(op::Binary{.kind = kind},
                      {counted, l.scalar(static_cast<double>(number), DType::i64)});
  }
  if (y.numel() > 1 && static_cast<double>(step) != y[1].item<double>() - begin)
    l.unsupported("counts in broken steps");
  l.give(l.cast(counted, dtype_of(y.scalar_type())));
}

// Nothing stands in it until something writes there. What reads it before any operation wrote there
// reads what the program put in beside libtorch: see TraceLowering::value.
void lower_empty(TraceLowering&) {}

void lower_triu(TraceLowering& l) {
  l.give(l.add(op::Triangle{.upper = true, .diagonal = l.integer(1)}, {l.tensor(0)}));
}
void lower_tril(TraceLowering& l) {
  l.give(l.add(op::Triangle{.upper = false, .diagonal = l.integer(1)}, {l.tensor(0)}));
}

void lower_cumsum(TraceLowering& l) {
  l.give(l.add(op::CumulativeSum{l.axis(1, l.example(0).dim())}, {l.tensor(0)}));
}

void lower_topk(TraceLowering& l) {
  const std::vector<ValueId> both = l.add_all(
      op::TopK{.k = l.integer(1), .axis = l.axis(2, l.example(0).dim()), .largest = l.flag(3)},
      {l.tensor(0)});
  l.give(both[0], 0);
  l.give(both[1], 1);
}

void lower_pixel_shuffle(TraceLowering& l) {
  l.give(l.add(op::PixelShuffle{l.integer(1)}, {l.tensor(0)}));
}

// (self, [sizes], [align], ...): the result says the sizes.
template <ResizeMode mode>
void lower_resize(TraceLowering& l) {
  const bool align = mode != ResizeMode::nearest && l.flag(2);
  l.give(l.add(
      op::Resize{.sizes = l.result().sizes().slice(2).vec(), .mode = mode, .align_corners = align},
      {l.tensor(0)}));
}

}  // namespace

std::vector<LowerEntry> layout_lowerings() {
  return {{"view", lower_reshape},
          {"reshape", lower_reshape},
          {"_unsafe_view", lower_reshape},
          {"_reshape_alias", lower_reshape},
          {"view_as", lower_reshape},
          {"reshape_as", lower_reshape},
          {"flatten", lower_reshape},
          {"unflatten", lower_reshape},
          {"squeeze", lower_reshape},
          {"unsqueeze", lower_reshape},
          {"permute", lower_permute},
          {"expand", lower_expand},
          {"expand_as", lower_expand},
          {"broadcast_to", lower_expand},
          {"repeat", lower_repeat},
          {"cat", lower_cat},
          {"concat", lower_cat},
          {"stack", lower_stack},
          {"select", lower_select},
          {"unbind", lower_unbind},
          {"slice", lower_slice},
          {"narrow", lower_narrow},
          {"split", lower_split},
          {"split_with_sizes", lower_split},
          {"chunk", lower_split},
          {"index_select", lower_index_select},
          {"embedding", lower_embedding},
          {"constant_pad_nd", lower_constant_pad},
          {"reflection_pad2d", lower_reflection_pad},
          {"replication_pad2d", lower_replication_pad},
          {"pad", lower_pad},
          {"full", lower_full},
          {"full_like", lower_full},
          {"fill", lower_fill},
          {"zero", lower_zeros},
          {"zeros", lower_zeros},
          {"zeros_like", lower_zeros},
          {"ones", lower_ones},
          {"ones_like", lower_ones},
          {"arange", lower_arange},
          {"empty", lower_empty},
          {"empty_like", lower_empty},
          {"empty_strided", lower_empty},
          {"new_empty", lower_empty},
          {"new_zeros", lower_zeros},
          {"new_ones", lower_ones},
          {"triu", lower_triu},
          {"tril", lower_tril},
          {"cumsum", lower_cumsum},
          {"topk", lower_topk},
          {"pixel_shuffle", lower_pixel_shuffle},
          {"upsample_nearest2d", lower_resize<ResizeMode::nearest>},
          {"upsample_bilinear2d", lower_resize<ResizeMode::linear>},
          {"upsample_bicubic2d", lower_resize<ResizeMode::cubic>}};
}

}  // namespace residua
