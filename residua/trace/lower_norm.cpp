// Normalisations, pools and reductions.
#include <algorithm>

#include "residua/trace/lowering.h"

namespace residua {

namespace {

// Inputs after x; those that are missing at the end are left out.
std::vector<ValueId> with_parameters(std::vector<ValueId> inputs) {
  while (!inputs.empty() && inputs.back() == kNoValue) inputs.pop_back();
  return inputs;
}

void lower_batch_norm(TraceLowering& l) {
  if (l.flag(5)) l.unsupported("is in training mode; call eval() first");
  l.give(l.add(op::BatchNorm{l.number(7)},
               with_parameters({l.tensor(0), l.tensor(3), l.tensor(4), l.tensor_or_none(1),
                                l.tensor_or_none(2)})));
}

void lower_layer_norm(TraceLowering& l) {
  l.give(
      l.add(op::LayerNorm{.axes = static_cast<int64_t>(l.integers(1).size()), .eps = l.number(4)},
            with_parameters({l.tensor(0), l.tensor_or_none(2), l.tensor_or_none(3)})));
}

void lower_group_norm(TraceLowering& l) {
  l.give(l.add(op::GroupNorm{.groups = l.integer(1), .eps = l.number(4)},
               with_parameters({l.tensor(0), l.tensor_or_none(2), l.tensor_or_none(3)})));
}

void lower_softmax(TraceLowering& l) {
  l.give(l.add(op::Softmax{.axis = l.axis(1, l.example(0).dim())}, {l.tensor(0)}));
}

void lower_log_softmax(TraceLowering& l) {
  l.give(l.add(op::Softmax{.axis = l.axis(1, l.example(0).dim()), .log = true}, {l.tensor(0)}));
}

std::vector<int64_t> pool_sizes(std::vector<int64_t> sizes, const std::vector<int64_t>& instead) {
  if (sizes.empty()) sizes = instead;
  if (sizes.size() == 1) sizes.push_back(sizes[0]);
  return sizes;
}

std::vector<int64_t> pool_padding(TraceLowering& l, size_t i) {
  std::vector<int64_t> padding = pool_sizes(l.integers(i), {0, 0});
  padding.insert(padding.end(), padding.begin(), padding.begin() + 2);
  return padding;
}

void lower_max_pool(TraceLowering& l) {
  const auto kernel = pool_sizes(l.integers(1), {});
  l.give(l.add(op::Pool{.kind = PoolKind::max,
                        .kernel = kernel,
                        .stride = pool_sizes(l.integers(2), kernel),
                        .padding = pool_padding(l, 3),
                        .dilation = pool_sizes(l.integers(4), {1, 1}),
                        .ceil = l.flag(5)},
               {l.tensor(0)}));
}

void lower_avg_pool(TraceLowering& l) {
  if (l.has(6)) l.unsupported("has a divisor of its own");
  const auto kernel = pool_sizes(l.integers(1), {});
  l.give(l.add(op::Pool{.kind = PoolKind::average,
                        .kernel = kernel,
                        .stride = pool_sizes(l.integers(2), kernel),
                        .padding = pool_padding(l, 3),
                        .ceil = l.flag(4),
                        .count_padding = l.flag(5)},
               {l.tensor(0)}));
}

void lower_adaptive_avg(TraceLowering& l) {
  l.give(l.add(op::AdaptivePool{PoolKind::average, pool_sizes(l.integers(1), {})}, {l.tensor(0)}));
}

void lower_adaptive_max(TraceLowering& l) {
  l.give(l.add(op::AdaptivePool{PoolKind::max, pool_sizes(l.integers(1), {})}, {l.tensor(0)}));
}

std::vector<int64_t> axes_of(TraceLowering& l, std::vector<int64_t> axes) {
  const int64_t rank = l.example(0).dim();
  if (axes.empty())
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  for (int64_t& axis : axes)
    if (axis < 0) axis += rank;
  std::sort(axes.begin(), axes.end());
  return axes;
}

// (self, [type]) or (self, axes, keep, [type])
template <ReduceKind kind>
void lower_sum_or_mean(TraceLowering& l) {
  const bool of_all = !l.has(2) && (!l.has(1) || l.result().dim() == 0);
  op::Reduce reduce{.kind = kind,
                    .axes = of_all ? axes_of(l, {}) : axes_of(l, l.integers(1)),
                    .keep = !of_all && l.flag(2)};
  const ValueId x = l.cast(l.tensor(0), dtype_of(l.result().scalar_type()));
  l.give(l.add(std::move(reduce), {x}));
}

// (self, axes, keep)
template <ReduceKind kind>
void lower_extreme(TraceLowering& l) {
  l.give(l.add(op::Reduce{.kind = kind, .axes = axes_of(l, l.integers(1)), .keep = l.flag(2)},
               {l.tensor(0)}));
}

// (self), (self, other) or (self, axis, keep) with places
template <ReduceKind kind, BinaryKind between>
void lower_max(TraceLowering& l) {
  if (l.is_tensor(1)) return l.give(l.add(op::Binary{.kind = between}, {l.tensor(0), l.tensor(1)}));
  if (!l.has(1))
    return l.give(l.add(op::Reduce{.kind = kind, .axes = axes_of(l, {})}, {l.tensor(0)}));
  const int64_t axis = l.axis(1, l.example(0).dim());
  l.give(l.add(op::Reduce{.kind = kind, .axes = {axis}, .keep = l.flag(2)}, {l.tensor(0)}), 0);
  if (kind == ReduceKind::max)
    l.give(l.add(op::ArgMax{.axis = axis, .keep = l.flag(2)}, {l.tensor(0)}), 1);
}

// (self, unbiased), (self, axes, unbiased, keep) or (self, axes, correction, keep)
void lower_var(TraceLowering& l) {
  const bool of_all = !l.has(2) && !l.has(3);
  double correction = 1;
  if (of_all)
    correction = l.flag(1) ? 1 : 0;
  else if (l.has(2))
    correction = l.number(2);
  if (correction != 0 && correction != 1) l.unsupported("corrects by a number other than 0 or 1");
  l.give(l.add(op::Reduce{.kind = ReduceKind::variance,
                          .axes = of_all ? axes_of(l, {}) : axes_of(l, l.integers(1)),
                          .keep = l.flag(3),
                          .unbiased = correction == 1},
               {l.tensor(0)}));
}

// (self, p), (self, p, axes, keep)
void lower_norm(TraceLowering& l) {
  if (l.has(1) && l.number(1) != 2) l.unsupported("is not the Euclidean norm");
  l.give(l.add(op::Reduce{.kind = ReduceKind::l2,
                          .axes = axes_of(l, l.has(2) ? l.integers(2) : std::vector<int64_t>{}),
                          .keep = l.flag(3)},
               {l.tensor(0)}));
}

void lower_argmax(TraceLowering& l) {
  if (!l.has(1)) l.unsupported("is over all places; name an axis");
  l.give(
      l.add(op::ArgMax{.axis = l.axis(1, l.example(0).dim()), .keep = l.flag(2)}, {l.tensor(0)}));
}

}  // namespace

std::vector<LowerEntry> norm_lowerings() {
  return {{"batch_norm", lower_batch_norm},
          {"layer_norm", lower_layer_norm},
          {"group_norm", lower_group_norm},
          {"softmax", lower_softmax},
          {"_softmax", lower_softmax},
          {"log_softmax", lower_log_softmax},
          {"_log_softmax", lower_log_softmax},
          {"max_pool2d", lower_max_pool},
          {"avg_pool2d", lower_avg_pool},
          {"adaptive_avg_pool2d", lower_adaptive_avg},
          {"adaptive_max_pool2d", lower_adaptive_max},
          {"sum", lower_sum_or_mean<ReduceKind::sum>},
          {"mean", lower_sum_or_mean<ReduceKind::mean>},
          {"amax", lower_extreme<ReduceKind::max>},
          {"amin", lower_extreme<ReduceKind::min>},
          {"max", lower_max<ReduceKind::max, BinaryKind::maximum>},
          {"min", lower_max<ReduceKind::min, BinaryKind::minimum>},
          {"var", lower_var},
          {"norm", lower_norm},
          {"linalg_vector_norm", lower_norm},
          {"argmax", lower_argmax}};
}

}  // namespace residua
