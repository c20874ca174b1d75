// The interpreter's operators that move, repeat, choose or make elements.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "residua/core/error.h"
#include "residua/graph/interpret_rules.h"
#include "residua/graph/shape_rules.h"

namespace residua {

namespace {

size_t axis_from_front(int64_t axis, const Shape& shape) {
  return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis);
}

// The place of x that stands at place `at - before` of an axis, or -1.
int64_t mirrored(PadMode mode, int64_t at, int64_t size) {
  if (at >= 0 && at < size) return at;
  switch (mode) {
    case PadMode::constant: return -1;
    case PadMode::reflect: return at < 0 ? -at : 2 * (size - 1) - at;
    case PadMode::replicate: return std::clamp<int64_t>(at, 0, size - 1);
  }
  return -1;
}

// One place of an axis of the input and its weight.
struct ResizeTap {
  int64_t place;
  double weight;
};

// Keys' cubic convolution with a = -0.75 at distance t.
double cubic_weight(double t) {
  constexpr double a = -0.75;
  t = std::abs(t);
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? ((t - 5) * t + 8) * a * t - 4 * a : 0;
}

std::vector<ResizeTap> resize_taps(const op::Resize& o, int64_t i, int64_t n, int64_t m) {
  if (o.mode == ResizeMode::nearest) return {{i * n / m, 1}};
  const auto to = static_cast<double>(i), from = static_cast<double>(n);
  const double at = o.align_corners ? (m > 1 ? to * (from - 1) / static_cast<double>(m - 1) : 0)
                                    : (to + 0.5) * from / static_cast<double>(m) - 0.5;
  std::vector<ResizeTap> taps;
  const auto clamped = [n](double place) {
    return std::clamp<int64_t>(static_cast<int64_t>(place), 0, n - 1);
  };
  const double below = std::floor(at);
  if (o.mode == ResizeMode::linear) {  // beyond the first place nothing is extrapolated
    const double rest = at < 0 ? 0 : at - below;
    return {{clamped(below), 1 - rest}, {clamped(at < 0 ? 0 : below + 1), rest}};
  }
  for (int k = -1; k <= 2; ++k)
    taps.push_back({clamped(below + k), cubic_weight(at - (below + k))});
  return taps;
}

}  // namespace

void compute(const op::Reshape&, const ReadInputs& in, Outputs& out) { out[0].data = in[0].data; }

void compute(const op::Transpose& o, const ReadInputs& in, Outputs& out) {
  const Shape own = row_major_strides(in[0].type.shape);
  Shape strides;
  for (const int64_t axis : o.order) strides.push_back(own[static_cast<size_t>(axis)]);
  size_t at = 0;
  each_place(out[0].type.shape, [&](const Shape& index) {
    out[0].data[at++] = in[0].data[static_cast<size_t>(offset_of(index, strides))];
  });
}

void compute(const op::Expand&, const ReadInputs& in, Outputs& out) {
  const Shape strides = broadcast_strides(in[0].type.shape, out[0].type.shape);
  size_t at = 0;
  each_place(out[0].type.shape, [&](const Shape& index) {
    out[0].data[at++] = in[0].data[static_cast<size_t>(offset_of(index, strides))];
  });
}

void compute(const op::Concat& o, const ReadInputs& in, Outputs& out) {
  const Shape strides = row_major_strides(out[0].type.shape);
  const size_t axis = axis_from_front(o.axis, out[0].type.shape);
  int64_t start = 0;
  for (size_t i = 0; i < in.size(); ++i) {
    size_t from = 0;
    each_place(in[i].type.shape, [&](const Shape& index) {
      out[0].data[static_cast<size_t>(offset_of(index, strides) + start * strides[axis])] =
          in[i].data[from++];
    });
    start += in[i].type.shape[axis];
  }
}

void compute(const op::Slice& o, const ReadInputs& in, Outputs& out) {
  const Shape strides = row_major_strides(in[0].type.shape);
  const size_t axis = axis_from_front(o.axis, in[0].type.shape);
  const SliceBounds bounds = slice_bounds(o, in[0].type.shape[axis]);
  size_t at = 0;
  each_place(out[0].type.shape, [&](Shape index) {
    index[axis] = bounds.start + index[axis] * o.step;
    out[0].data[at++] = in[0].data[static_cast<size_t>(offset_of(index, strides))];
  });
}

void compute(const op::Pad& o, const ReadInputs& in, Outputs& out) {
  const Shape& shape = in[0].type.shape;
  const Shape strides = row_major_strides(shape);
  size_t at = 0;
  each_place(out[0].type.shape, [&](Shape index) {
    bool inside = true;
    for (size_t i = 0; i < index.size(); ++i) {
      index[i] = mirrored(o.mode, index[i] - o.padding[i], shape[i]);
      inside &= index[i] >= 0;
    }
    out[0].data[at++] =
        inside ? in[0].data[static_cast<size_t>(offset_of(index, strides))] : o.value;
  });
}

void compute(const op::Gather& o, const ReadInputs& in, Outputs& out) {
  const Shape &shape = in[0].type.shape, &chosen = in[1].type.shape;
  const auto axis = static_cast<ptrdiff_t>(axis_from_front(o.axis, shape));
  const int64_t size = shape[static_cast<size_t>(axis)];
  const Shape strides = row_major_strides(shape), of_indices = row_major_strides(chosen);
  size_t at = 0;
  each_place(out[0].type.shape, [&](const Shape& index) {
    const auto indices = index.begin() + axis;
    const auto after = indices + static_cast<ptrdiff_t>(chosen.size());
    const double wanted = in[1].data[static_cast<size_t>(offset_of({indices, after}, of_indices))];
    const double place = wanted < 0 ? wanted + static_cast<double>(size) : wanted;
    if (place < 0 || place >= static_cast<double>(size))
      throw Error(ErrorKind::invalid_argument,
                  {.where = "gather",
                   .rule = "an index lies beyond the axis",
                   .expected = fmt::format("{} to {}", -size, size - 1),
                   .received = fmt::format("{}", wanted)});
    Shape from(index.begin(), indices);
    from.push_back(static_cast<int64_t>(place));
    from.insert(from.end(), after, index.end());
    out[0].data[at++] = in[0].data[static_cast<size_t>(offset_of(from, strides))];
  });
}

// Integers are what they are by definition; to floating types nothing is rounded.
void compute(const op::Cast& o, const ReadInputs& in, Outputs& out) {
  for (size_t i = 0; i < in[0].data.size(); ++i)
    out[0].data[i] = is_floating(o.dtype) ? in[0].data[i] : to_nearest(in[0].data[i], o.dtype);
}

void compute(const op::Arange& o, const ReadInputs&, Outputs& out) {
  for (size_t i = 0; i < out[0].data.size(); ++i)
    out[0].data[i] = static_cast<double>(o.start) + static_cast<double>(i);
}

void compute(const op::Fill& o, const ReadInputs&, Outputs& out) {
  const double value = is_floating(o.dtype) ? o.value : to_nearest(o.value, o.dtype);
  std::fill(out[0].data.begin(), out[0].data.end(), value);
}

void compute(const op::Triangle& o, const ReadInputs& in, Outputs& out) {
  size_t at = 0;
  each_place(in[0].type.shape, [&](const Shape& index) {
    const int64_t right = index[index.size() - 1] - index[index.size() - 2];
    const bool kept = o.upper ? right >= o.diagonal : right <= o.diagonal;
    out[0].data[at] = kept ? in[0].data[at] : 0;
    ++at;
  });
}

void compute(const op::Resize& o, const ReadInputs& in, Outputs& out) {
  const Shape& shape = in[0].type.shape;
  const Shape strides = row_major_strides(shape);
  size_t at = 0;
  each_place(out[0].type.shape, [&](const Shape& index) {
    std::vector<std::vector<ResizeTap>> taps;
    Shape counts;
    for (size_t i = 2; i < shape.size(); ++i) {
      taps.push_back(resize_taps(o, index[i], shape[i], o.sizes[i - 2]));
      counts.push_back(static_cast<int64_t>(taps.back().size()));
    }
    double sum = 0;
    each_place(counts, [&](const Shape& tap) {
      int64_t from = index[0] * strides[0] + index[1] * strides[1];
      double weight = 1;
      for (size_t i = 0; i < tap.size(); ++i) {
        const ResizeTap& chosen = taps[i][static_cast<size_t>(tap[i])];
        from += chosen.place * strides[2 + i];
        weight *= chosen.weight;
      }
      sum += weight * in[0].data[static_cast<size_t>(from)];
    });
    out[0].data[at++] = sum;
  });
}

void compute(const op::PixelShuffle& o, const ReadInputs& in, Outputs& out) {
  const Shape strides = row_major_strides(in[0].type.shape);
  const int64_t r = o.factor;
  size_t at = 0;
  each_place(out[0].type.shape, [&](const Shape& i) {
    const int64_t channel = (i[1] * r + i[2] % r) * r + i[3] % r;
    out[0].data[at++] =
        in[0].data[static_cast<size_t>(offset_of({i[0], channel, i[2] / r, i[3] / r}, strides))];
  });
}

}  // namespace residua
