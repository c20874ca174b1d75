// Shape rules of what moves, repeats, chooses or makes elements.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "residua/graph/shape_rules.h"

namespace residua {

Types shape_rule(const op::Reshape& o, const Operands& in) {
  in.count(1, 1);
  const TensorType& x = in.at(0, "x");
  const int64_t elements = checked_numel(x.shape, "reshape");
  Shape sizes = o.sizes;
  const auto rest = std::count(sizes.begin(), sizes.end(), -1);
  const auto refuse = [&] {
    in.refuse("the new sizes must hold as many elements", fmt::format("{}", elements),
              to_string(o.sizes));
  };
  if (rest > 1) in.refuse("only one size may be -1", {}, to_string(o.sizes));
  if (rest == 1) {
    int64_t& open = *std::find(sizes.begin(), sizes.end(), -1);
    open = 1;
    const int64_t others = checked_numel(sizes, "reshape");
    if (others == 0 || elements % others != 0) refuse();
    open = elements / others;
  }
  if (checked_numel(sizes, "reshape") != elements) refuse();
  return {{x.dtype, sizes}};
}

Types shape_rule(const op::Transpose& o, const Operands& in) {
  in.count(1, 1);
  const TensorType& x = in.at(0, "x");
  std::vector<int64_t> sorted = o.order;
  std::sort(sorted.begin(), sorted.end());
  bool permutation = sorted.size() == x.shape.size();
  for (size_t i = 0; permutation && i < sorted.size(); ++i)
    permutation = sorted[i] == static_cast<int64_t>(i);
  if (!permutation)
    in.refuse("the order must name each axis of x once",
              fmt::format("the numbers below {}", x.shape.size()), to_string(o.order));
  TensorType output{x.dtype, {}};
  for (const int64_t axis : o.order) output.shape.push_back(x.shape[static_cast<size_t>(axis)]);
  return {output};
}

Types shape_rule(const op::Expand& o, const Operands& in) {
  in.count(1, 1);
  const TensorType& x = in.at(0, "x");
  if (o.sizes.size() < x.shape.size())
    in.refuse("has fewer sizes than x has axes", to_string(x.shape), to_string(o.sizes));
  const size_t added = o.sizes.size() - x.shape.size();
  TensorType output{x.dtype, o.sizes};
  for (size_t i = 0; i < o.sizes.size(); ++i) {
    int64_t& size = output.shape[i];
    const int64_t old = i < added ? 1 : x.shape[i - added];
    if (size == -1 && i < added) in.refuse("an axis that is added needs a size");
    if (size == -1) size = old;
    if (size != old && old != 1)
      in.refuse("only axes of size 1 are repeated", to_string(x.shape), to_string(o.sizes));
  }
  return {output};
}

Types shape_rule(const op::Concat& o, const Operands& in) {
  in.count(1, SIZE_MAX);
  TensorType output = in.at(0, "first input");
  const auto axis = static_cast<size_t>(axis_of(in, o.axis, output.shape));
  for (size_t i = 1; i < in.size(); ++i) {
    const TensorType& x = in.at(i, "next input");
    bool same = x.dtype == output.dtype && x.shape.size() == output.shape.size();
    for (size_t a = 0; same && a < x.shape.size(); ++a)
      same = a == axis || x.shape[a] == output.shape[a];
    if (!same)
      in.refuse(fmt::format("input {} differs from the first beside the axis", i),
                fmt::format("{} {}", to_string(output.dtype), to_string(output.shape)),
                fmt::format("{} {}", to_string(x.dtype), to_string(x.shape)));
    if (__builtin_add_overflow(output.shape[axis], x.shape[axis], &output.shape[axis]))
      in.refuse("the axis grows beyond 64 bits");
  }
  return {output};
}

Types shape_rule(const op::Slice& o, const Operands& in) {
  in.count(1, 1);
  TensorType output = in.at(0, "x");
  int64_t& size = output.shape[static_cast<size_t>(axis_of(in, o.axis, output.shape))];
  size = slice_bounds(o, size).count;
  return {output};
}

Types shape_rule(const op::Pad& o, const Operands& in) {
  in.count(1, 1);
  TensorType output = in.at(0, "x");
  const size_t rank = output.shape.size();
  if (o.padding.size() != 2 * rank)
    in.refuse("needs two numbers for each axis of x", fmt::format("{}", 2 * rank),
              fmt::format("{}", o.padding.size()));
  for (size_t i = 0; i < rank; ++i) {
    int64_t& size = output.shape[i];
    const int64_t most = std::max(o.padding[i], o.padding[rank + i]);
    if (most > 0 && ((o.mode == PadMode::reflect && most >= size) ||
                     (o.mode == PadMode::replicate && size == 0)))
      in.refuse("the axis is too short to be mirrored or repeated",
                fmt::format("more than {}", most), fmt::format("{}", size));
    size += o.padding[i] + o.padding[rank + i];
  }
  return {output};
}

Types shape_rule(const op::Gather& o, const Operands& in) {
  in.count(2, 2);
  const TensorType &x = in.at(0, "x"), &indices = in.at(1, "indices");
  if (!is_integer(indices.dtype))
    in.refuse("indices must be integers", {}, std::string(to_string(indices.dtype)));
  const auto axis = axis_of(in, o.axis, x.shape);
  TensorType output{x.dtype, {x.shape.begin(), x.shape.begin() + axis}};
  output.shape.insert(output.shape.end(), indices.shape.begin(), indices.shape.end());
  output.shape.insert(output.shape.end(), x.shape.begin() + axis + 1, x.shape.end());
  return {output};
}

Types shape_rule(const op::Cast& o, const Operands& in) {
  in.count(1, 1);
  return {{o.dtype, in.at(0, "x").shape}};
}

Types shape_rule(const op::Arange& o, const Operands& in) {
  in.count(0, 0);
  if (!is_integer(o.dtype) && !is_floating(o.dtype))
    in.refuse("numbers cannot be counted in this element type", {},
              std::string(to_string(o.dtype)));
  int64_t count = 0;
  if (__builtin_sub_overflow(o.end, o.start, &count))
    in.refuse("the range exceeds 64 bits", {}, fmt::format("{} to {}", o.start, o.end));
  return {{o.dtype, {std::max<int64_t>(count, 0)}}};
}

Types shape_rule(const op::Fill& o, const Operands& in) {
  in.count(0, 0);
  if (!is_floating(o.dtype) && std::floor(o.value) != o.value)
    in.refuse("the value must be whole in this element type", {}, fmt::format("{}", o.value));
  return {{o.dtype, o.sizes}};
}

Types shape_rule(const op::Triangle&, const Operands& in) {
  in.count(1, 1);
  const TensorType& x = in.at(0, "x");
  if (x.shape.size() < 2) in.refuse("x must have at least two axes", {}, to_string(x.shape));
  return {x};
}

Types shape_rule(const op::Resize& o, const Operands& in) {
  in.count(1, 1);
  const TensorType& x = in.floating(0, "x");
  one_for_each(in, "sizes", o.sizes.size(), static_cast<size_t>(spatial_axes(in, x.shape)));
  if (o.align_corners && o.mode == ResizeMode::nearest)
    in.refuse("corners are aligned only where places between are read", "linear or cubic",
              "nearest");
  TensorType output{x.dtype, {x.shape[0], x.shape[1]}};
  for (size_t i = 0; i < o.sizes.size(); ++i) {
    if (x.shape[2 + i] < 1) in.refuse("x has no places", {}, to_string(x.shape));
    output.shape.push_back(o.sizes[i]);
  }
  return {output};
}

Types shape_rule(const op::PixelShuffle& o, const Operands& in) {
  in.count(1, 1);
  const TensorType& x = in.at(0, "x");
  const int64_t area = o.factor * o.factor;
  if (x.shape.size() != 4 || x.shape[1] % area != 0)
    in.refuse("x must have four axes and a multiple of factor^2 channels",
              fmt::format("a multiple of {}", area), to_string(x.shape));
  return {{x.dtype, {x.shape[0], x.shape[1] / area, x.shape[2] * o.factor, x.shape[3] * o.factor}}};
}

SliceBounds slice_bounds(const op::Slice& o, int64_t size) {
  const auto place = [size](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size);
  };
  const int64_t start = place(o.start), end = place(o.end);
  return {start, end <= start ? 0 : (end - start - 1) / o.step + 1};
}

}  // namespace residua
