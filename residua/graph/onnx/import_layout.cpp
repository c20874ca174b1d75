// Operators of ONNX that move, repeat or choose elements.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "residua/graph/onnx/import.h"

namespace residua {

namespace {

int64_t elements_of(const Shape& shape, int64_t from, int64_t to) {
  return checked_numel({shape.begin() + from, shape.begin() + to}, "flatten");
}

// 0 keeps an axis unless allowzero says that it is a size.
void import_reshape(OnnxNode& n) {
  const ValueId x = n.in(0);
  std::vector<int64_t> sizes = n.numbers(1);
  const bool zero_is_size = n.integer("allowzero", 0) != 0;
  for (size_t i = 0; i < sizes.size() && !zero_is_size; ++i) {
    if (sizes[i] != 0) continue;
    if (i >= n.shape(x).size()) n.refuse("keeps an axis that its input does not have");
    sizes[i] = n.shape(x)[i];
  }
  n.give(n.reshape(x, std::move(sizes)));
}

void import_flatten(OnnxNode& n) {
  const ValueId x = n.in(0);
  int64_t axis = n.integer("axis", 1);
  const int64_t rank = n.rank(x);
  if (axis < -rank || axis > rank) n.refuse("flattens at an axis that its input does not have");
  if (axis < 0) axis += rank;
  n.give(n.reshape(x, {elements_of(n.shape(x), 0, axis), elements_of(n.shape(x), axis, rank)}));
}

// Axes are an attribute, from opset 13 on an input.
std::vector<int64_t> listed_axes(OnnxNode& n) {
  return n.opset() < 13 ? n.integers("axes", {}) : n.has(1) ? n.numbers(1) : std::vector<int64_t>{};
}

void import_squeeze(OnnxNode& n) {
  const ValueId x = n.in(0);
  const std::vector<int64_t> axes = listed_axes(n);
  std::vector<bool> lost(n.shape(x).size(), false);
  for (const int64_t axis : axes) {
    const auto a = static_cast<size_t>(n.axis(axis, n.rank(x)));
    if (n.shape(x)[a] != 1)
      n.refuse("drops an axis that is not of size 1", {}, to_string(n.shape(x)));
    lost[a] = true;
  }
  Shape sizes;
  for (size_t i = 0; i < lost.size(); ++i)
    if (axes.empty() ? n.shape(x)[i] != 1 : !lost[i]) sizes.push_back(n.shape(x)[i]);
  n.give(n.reshape(x, sizes));
}

void import_unsqueeze(OnnxNode& n) {
  const ValueId x = n.in(0);
  const std::vector<int64_t> axes = listed_axes(n);
  const size_t rank = n.shape(x).size() + axes.size();
  if (rank > kMaxRank) n.refuse("has too many axes");
  std::vector<bool> added(rank, false);
  for (const int64_t axis : axes) {
    const auto a = static_cast<size_t>(n.axis(axis, static_cast<int64_t>(rank)));
    if (added[a]) n.refuse("adds an axis twice");
    added[a] = true;
  }
  Shape sizes;
  size_t next = 0;
  for (const bool is_new : added) sizes.push_back(is_new ? 1 : n.shape(x)[next++]);
  n.give(n.reshape(x, sizes));
}

void import_transpose(OnnxNode& n) {
  const ValueId x = n.in(0);
  std::vector<int64_t> reversed(n.shape(x).size());
  std::iota(reversed.rbegin(), reversed.rend(), 0);
  n.give(n.add(op::Transpose{n.integers("perm", reversed)}, {x}));
}

// The shapes broadcast in both directions.
void import_expand(OnnxNode& n) {
  const ValueId x = n.in(0);
  const std::vector<int64_t> target = n.numbers(1);
  const size_t rank = std::max(target.size(), n.shape(x).size());
  std::vector<int64_t> sizes(rank, 1);
  std::copy(target.begin(), target.end(), sizes.end() - static_cast<ptrdiff_t>(target.size()));
  for (size_t i = 0; i < n.shape(x).size(); ++i) {
    int64_t& size = sizes[rank - n.shape(x).size() + i];
    const int64_t own = n.shape(x)[i];
    if (own != 1 && (size == 1 || size == own)) size = -1;
  }
  n.give(n.add(op::Expand{sizes}, {x}));
}

void import_tile(OnnxNode& n) {
  const ValueId x = n.in(0);
  const std::vector<int64_t> times = n.numbers(1);
  const Shape shape = n.shape(x);
  if (times.size() != shape.size()) n.refuse("needs one number of repeats for each axis");
  // An axis of size 1 is expanded; of others each becomes two, of which the first is expanded.
  Shape split, expanded, joined;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (times[i] < 0 || times[i] > kMaxAxis) n.refuse("has a number of repeats out of range");
    if (shape[i] != 1 && times[i] != 1) {
      split.push_back(1);
      expanded.push_back(times[i]);
    }
    split.push_back(shape[i]);
    expanded.push_back(shape[i] == 1 ? times[i] : -1);
    if (__builtin_mul_overflow(shape[i], times[i], &joined.emplace_back()))
      n.refuse("repeats an axis beyond 64 bits");
  }
  if (split.size() > kMaxRank) n.unsupported("repeats too many axes");
  ValueId y = split == shape ? x : n.reshape(x, split);
  y = n.add(op::Expand{expanded}, {y});
  n.give(split == shape ? y : n.reshape(y, joined));
}

void import_concat(OnnxNode& n) {
  std::vector<ValueId> parts;
  for (size_t i = 0; i < n.inputs(); ++i) parts.push_back(n.in(i));
  if (parts.empty()) n.refuse("has no input");
  n.give(n.add(op::Concat{n.integer("axis", 0)}, parts));
}

void import_split(OnnxNode& n) {
  const ValueId x = n.in(0);
  const int64_t axis = n.axis(n.integer("axis", 0), n.rank(x));
  const int64_t size = n.shape(x)[static_cast<size_t>(axis)];
  const auto parts = static_cast<int64_t>(n.outputs());
  std::vector<int64_t> sizes = n.opset() < 13 ? n.integers("split", {}) : std::vector<int64_t>{};
  if (n.opset() >= 13 && n.has(1)) sizes = n.numbers(1);
  if (n.integer("num_outputs", parts) != parts || parts < 1)
    n.refuse("has another number of outputs than it says");
  if (sizes.empty()) {
    const int64_t each = (size + parts - 1) / parts;  // the last may be smaller
    for (int64_t i = 0; i < parts; ++i)
      sizes.push_back(std::clamp<int64_t>(size - i * each, 0, each));
  }
  int64_t start = 0;
  if (static_cast<int64_t>(sizes.size()) != parts) n.refuse("needs one size for each output");
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 0 || sizes[i] > size - start) n.refuse("has sizes beyond its input");
    n.give(n.add(op::Slice{.axis = axis, .start = start, .end = start + sizes[i]}, {x}), i);
    start += sizes[i];
  }
  if (start != size) n.refuse("has sizes that are not all of its input");
}

// The places of a slice that runs backwards.
std::vector<int64_t> backward_places(OnnxNode& n, int64_t size, int64_t start, int64_t end,
                                     int64_t step) {
  const auto place = [&](int64_t at, int64_t least) {
    return std::clamp<int64_t>(at < 0 ? at + size : at, least, size - 1);
  };
  std::vector<int64_t> places;
  const int64_t last = end < -size ? -1 : place(end, -1);
  for (int64_t at = place(start, -1); at > last; at += step) {
    places.push_back(at);
    if (places.size() > 65536) n.unsupported("reverses too long an axis");
    if (step < -size) break;
  }
  return places;
}

void import_slice(OnnxNode& n) {
  ValueId x = n.in(0);
  const bool as_inputs = n.opset() >= 10;
  const auto starts = as_inputs ? n.numbers(1) : n.integers("starts", {});
  const auto ends = as_inputs ? n.numbers(2) : n.integers("ends", {});
  std::vector<int64_t> axes(starts.size()), steps(starts.size(), 1);
  std::iota(axes.begin(), axes.end(), 0);
  if (as_inputs && n.has(3)) axes = n.numbers(3);
  if (as_inputs && n.has(4)) steps = n.numbers(4);
  if (!as_inputs) axes = n.integers("axes", axes);
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size())
    n.refuse("needs as many ends, axes and steps as starts");
  for (size_t i = 0; i < starts.size(); ++i) {
    const int64_t axis = n.axis(axes[i], n.rank(x));
    if (steps[i] == 0) n.refuse("has a step of 0");
    if (steps[i] > 0) {
      const int64_t step = std::min<int64_t>(steps[i], kMaxAxis);
      x = n.add(op::Slice{.axis = axis, .start = starts[i], .end = ends[i], .step = step}, {x});
      continue;
    }
    const auto places =
        backward_places(n, n.shape(x)[static_cast<size_t>(axis)], starts[i], ends[i], steps[i]);
    x = n.add(op::Gather{axis}, {x, n.list(places)});
  }
  n.give(starts.empty() ? n.add(op::Unary{}, {x}) : x);
}

// Padding is an attribute before opset 11, then an input; negative numbers cut.
void import_pad(OnnxNode& n) {
  ValueId x = n.in(0);
  const bool as_inputs = n.opset() >= 11;
  const std::vector<int64_t> given = as_inputs ? n.numbers(1) : n.integers("pads", {});
  double value = as_inputs ? 0 : n.number("value", 0);
  if (as_inputs && n.has(2)) {
    if (n.known(2).data.size() != 1) n.refuse("needs one number to pad with");
    value = n.known(2).data.front();
  }
  const std::string mode = n.text("mode", "constant");
  if (mode != "constant" && mode != "reflect" && mode != "edge")
    n.unsupported("pads in a way that Residua does not have", mode);
  std::vector<int64_t> axes(n.shape(x).size());
  std::iota(axes.begin(), axes.end(), 0);
  if (as_inputs && n.has(3)) axes = n.numbers(3);
  const size_t rank = n.shape(x).size();
  if (given.size() != 2 * axes.size()) n.refuse("needs two numbers for each axis");
  std::vector<int64_t> padding(2 * rank, 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = n.axis(axes[i], n.rank(x));
    const int64_t before = given[i], after = given[axes.size() + i];
    padding[static_cast<size_t>(axis)] = std::max<int64_t>(before, 0);
    padding[rank + static_cast<size_t>(axis)] = std::max<int64_t>(after, 0);
    if (before < 0 || after < 0)
      x = n.add(op::Slice{.axis = axis,
                          .start = before < 0 ? -std::max(before, -kMaxAxis) : 0,
                          .end = after < 0 ? after : INT64_MAX},
                {x});
  }
  n.give(n.add(op::Pad{.padding = padding,
                       .mode = mode == "reflect" ? PadMode::reflect
                               : mode == "edge"  ? PadMode::replicate
                                                 : PadMode::constant,
                       .value = value},
               {x}));
}

void import_gather(OnnxNode& n) {
  n.give(n.add(op::Gather{n.integer("axis", 0)}, {n.in(0), n.in(1)}));
}

void import_triangle(OnnxNode& n) {
  n.give(n.add(
      op::Triangle{.upper = n.integer("upper", 1) != 0, .diagonal = n.has(1) ? n.one_number(1) : 0},
      {n.in(0)}));
}

int64_t block_size(OnnxNode& n, const Shape& shape) {
  const int64_t block = n.integer("blocksize", 0);
  if (shape.size() != 4) n.refuse("needs four axes", {}, to_string(shape));
  if (block < 1 || block > 1024) n.refuse("has a blocksize out of range");
  return block;
}

// DCR: the block's place comes before the channel; CRD: after it.
void import_depth_to_space(OnnxNode& n) {
  ValueId x = n.in(0);
  const Shape shape = n.shape(x);
  const int64_t block = block_size(n, shape);
  const std::string mode = n.text("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") n.refuse("has an unknown mode", {}, mode);
  if (mode == "DCR") {
    if (shape[1] % (block * block) != 0) n.refuse("needs a multiple of blocksize^2 channels");
    const int64_t channels = shape[1] / (block * block);
    x = n.reshape(x, {shape[0], block * block, channels, shape[2], shape[3]});
    x = n.add(op::Transpose{{0, 2, 1, 3, 4}}, {x});
    x = n.reshape(x, shape);
  }
  n.give(n.add(op::PixelShuffle{block}, {x}));
}

void import_space_to_depth(OnnxNode& n) {
  ValueId x = n.in(0);
  const Shape shape = n.shape(x);
  const int64_t block = block_size(n, shape);
  if (shape[2] % block != 0 || shape[3] % block != 0)
    n.refuse("needs sides that are multiples of blocksize", {}, to_string(shape));
  const int64_t height = shape[2] / block, width = shape[3] / block;
  x = n.reshape(x, {shape[0], shape[1], height, block, width, block});
  x = n.add(op::Transpose{{0, 3, 5, 1, 2, 4}}, {x});
  n.give(n.reshape(x, {shape[0], block * block * shape[1], height, width}));
}

}  // namespace

void add_layout_operators(OnnxOperators& table) {
  table["Reshape"] = import_reshape;
  table["Flatten"] = import_flatten;
  table["Squeeze"] = import_squeeze;
  table["Unsqueeze"] = import_unsqueeze;
  table["Transpose"] = import_transpose;
  table["Expand"] = import_expand;
  table["Tile"] = import_tile;
  table["Concat"] = import_concat;
  table["Split"] = import_split;
  table["Slice"] = import_slice;
  table["Pad"] = import_pad;
  table["Gather"] = import_gather;
  table["Trilu"] = import_triangle;
  table["DepthToSpace"] = import_depth_to_space;
  table["SpaceToDepth"] = import_space_to_depth;
}

}  // namespace residua
