// The interpreter's norms, pools and reductions.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "residua/graph/interpret_rules.h"

namespace residua {

namespace {

double mean_of(const double* from, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += from[i];
  return sum / static_cast<double>(count);
}

double variance_of(const double* from, int64_t count, double mean) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += (from[i] - mean) * (from[i] - mean);
  return sum / static_cast<double>(count);
}

double parameter_at(const Numbers* parameter, int64_t i, double missing) {
  return parameter == nullptr ? missing : parameter->data[static_cast<size_t>(i)];
}

// The places first, first + step, ... of a window that lie on the axis, and how many of its places
// lie on the axis with its padding.
struct Window {
  std::vector<int64_t> places;
  int64_t padded = 0;
};

Window window_at(const op::Pool& o, size_t axis, int64_t size, int64_t at) {
  Window window;
  for (int64_t i = 0; i < o.kernel[axis]; ++i) {
    const int64_t place = at * o.stride[axis] - o.padding[axis] + i * o.dilation[axis];
    if (place >= 0 && place < size) window.places.push_back(place);
    if (place < size + o.padding[o.kernel.size() + axis]) ++window.padded;
  }
  return window;
}

// The largest or the sum of x where all of the windows along its spatial axes lie.
double pooled(PoolKind kind, const Numbers& x, const Shape& strides, const Shape& index,
              const std::vector<Window>& windows) {
  Shape counts;
  for (const Window& window : windows) counts.push_back(static_cast<int64_t>(window.places.size()));
  const int64_t base = index[0] * strides[0] + index[1] * strides[1];
  double result = kind == PoolKind::max ? -std::numeric_limits<double>::infinity() : 0;
  each_place(counts, [&](const Shape& tap) {
    int64_t from = base;
    for (size_t i = 0; i < tap.size(); ++i)
      from += windows[i].places[static_cast<size_t>(tap[i])] * strides[2 + i];
    const double value = x.data[static_cast<size_t>(from)];
    result = kind == PoolKind::max ? maximum_of(result, value) : result + value;
  });
  return result;
}

double reduced(const op::Reduce& o, const std::vector<double>& line) {
  const auto count = static_cast<double>(line.size());
  const double sum = std::accumulate(line.begin(), line.end(), 0.0);
  switch (o.kind) {
    case ReduceKind::sum: return sum;
    case ReduceKind::mean: return sum / count;
    case ReduceKind::max: return std::accumulate(line.begin(), line.end(), line[0], maximum_of);
    case ReduceKind::min: return std::accumulate(line.begin(), line.end(), line[0], minimum_of);
    case ReduceKind::prod:
      return std::accumulate(line.begin(), line.end(), 1.0, std::multiplies<>());
    case ReduceKind::l2:
      return std::sqrt(std::inner_product(line.begin(), line.end(), line.begin(), 0.0));
    case ReduceKind::variance: break;
  }
  const double around = variance_of(line.data(), static_cast<int64_t>(line.size()), sum / count);
  return o.unbiased ? around * count / (count - 1) : around;
}

// The places of a line from the highest rank to the lowest; equals keep their order.
std::vector<int64_t> ranking(const Numbers& x, int64_t first, int64_t step, int64_t size,
                             bool largest) {
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  const auto at = [&](int64_t i) { return x.data[static_cast<size_t>(first + i * step)]; };
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return largest ? ranks_above(at(a), at(b)) : ranks_above(at(b), at(a));
  });
  return order;
}

size_t from_front(int64_t axis, const Shape& shape) {
  return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis);
}

}  // namespace

void compute(const op::BatchNorm& o, const ReadInputs& in, Outputs& out) {
  const Shape& shape = in[0].type.shape;
  const int64_t inner = product_of({shape.begin() + 2, shape.end()});
  for (size_t i = 0; i < in[0].data.size(); ++i) {
    const int64_t c = static_cast<int64_t>(i) / inner % shape[1];
    const double normal = (in[0].data[i] - parameter_at(&in[1], c, 0)) /
                          std::sqrt(parameter_at(&in[2], c, 1) + o.eps);
    out[0].data[i] = normal * parameter_at(in.find(3), c, 1) + parameter_at(in.find(4), c, 0);
  }
}

void compute(const op::LayerNorm& o, const ReadInputs& in, Outputs& out) {
  const Shape& shape = in[0].type.shape;
  const int64_t count = product_of({shape.end() - o.axes, shape.end()});
  for (int64_t first = 0; first < static_cast<int64_t>(in[0].data.size()); first += count) {
    const double* x = in[0].data.data() + first;
    const double mean = o.rms ? 0 : mean_of(x, count);
    const double deviation = std::sqrt(variance_of(x, count, mean) + o.eps);
    for (int64_t i = 0; i < count; ++i)
      out[0].data[static_cast<size_t>(first + i)] =
          (x[i] - mean) / deviation * parameter_at(in.find(1), i, 1) +
          parameter_at(in.find(2), i, 0);
  }
}

void compute(const op::GroupNorm& o, const ReadInputs& in, Outputs& out) {
  const Shape& shape = in[0].type.shape;
  const int64_t inner = product_of({shape.begin() + 2, shape.end()});
  const int64_t count = shape[1] / o.groups * inner;
  for (int64_t first = 0; first < static_cast<int64_t>(in[0].data.size()); first += count) {
    const double* x = in[0].data.data() + first;
    const double mean = mean_of(x, count);
    const double deviation = std::sqrt(variance_of(x, count, mean) + o.eps);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t c = (first + i) / inner % shape[1];
      out[0].data[static_cast<size_t>(first + i)] =
          (x[i] - mean) / deviation * parameter_at(in.find(1), c, 1) +
          parameter_at(in.find(2), c, 0);
    }
  }
}

void compute(const op::Pool& o, const ReadInputs& in, Outputs& out) {
  const Shape& shape = in[0].type.shape;
  const Shape strides = row_major_strides(shape);
  size_t at = 0;
  each_place(out[0].type.shape, [&](const Shape& index) {
    std::vector<Window> windows;
    int64_t real = 1, padded = 1;
    for (size_t i = 0; i < o.kernel.size(); ++i) {
      windows.push_back(window_at(o, i, shape[2 + i], index[2 + i]));
      real *= static_cast<int64_t>(windows.back().places.size());
      padded *= windows.back().padded;
    }
    double result = pooled(o.kind, in[0], strides, index, windows);
    if (o.kind == PoolKind::average) result /= static_cast<double>(o.count_padding ? padded : real);
    out[0].data[at++] = result;
  });
}

void compute(const op::AdaptivePool& o, const ReadInputs& in, Outputs& out) {
  const Shape& shape = in[0].type.shape;
  const Shape strides = row_major_strides(shape);
  size_t at = 0;
  each_place(out[0].type.shape, [&](const Shape& index) {
    std::vector<Window> windows;
    int64_t count = 1;
    for (size_t i = 0; i < o.sizes.size(); ++i) {
      const int64_t n = shape[2 + i], m = o.sizes[i], cell = index[2 + i];
      const int64_t begin = cell * n / m, end = ((cell + 1) * n + m - 1) / m;
      Window window{std::vector<int64_t>(static_cast<size_t>(end - begin)), end - begin};
      std::iota(window.places.begin(), window.places.end(), begin);
      count *= end - begin;
      windows.push_back(std::move(window));
    }
    const double result = pooled(o.kind, in[0], strides, index, windows);
    out[0].data[at++] = o.kind == PoolKind::average ? result / static_cast<double>(count) : result;
  });
}

void compute(const op::Reduce& o, const ReadInputs& in, Outputs& out) {
  const Shape& shape = in[0].type.shape;
  const Shape strides = row_major_strides(shape);
  Shape kept = shape, lost(shape.size(), 1);
  for (size_t i = 0; i < shape.size(); ++i) {
    const auto named = [&](int64_t axis) { return from_front(axis, shape) == i; };
    if (!o.axes.empty() && std::none_of(o.axes.begin(), o.axes.end(), named)) continue;
    lost[i] = shape[i];
    kept[i] = 1;
  }
  size_t at = 0;
  each_place(kept, [&](const Shape& outer) {
    std::vector<double> line;
    each_place(lost, [&](const Shape& inner) {
      line.push_back(
          in[0].data[static_cast<size_t>(offset_of(outer, strides) + offset_of(inner, strides))]);
    });
    out[0].data[at++] = reduced(o, line);
  });
}

void compute(const op::Softmax& o, const ReadInputs& in, Outputs& out) {
  const Shape& shape = in[0].type.shape;
  const int64_t size = shape[from_front(o.axis, shape)];
  each_line(shape, o.axis, [&](int64_t first, int64_t step) {
    const auto place = [&](int64_t i) { return static_cast<size_t>(first + i * step); };
    double largest = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t i = 0; i < size; ++i) largest = maximum_of(largest, in[0].data[place(i)]);
    for (int64_t i = 0; i < size; ++i) sum += std::exp(in[0].data[place(i)] - largest);
    for (int64_t i = 0; i < size; ++i) {
      const double above = in[0].data[place(i)] - largest;
      out[0].data[place(i)] = o.log ? above - std::log(sum) : std::exp(above) / sum;
    }
  });
}

void compute(const op::ArgMax& o, const ReadInputs& in, Outputs& out) {
  const Shape& shape = in[0].type.shape;
  const int64_t size = shape[from_front(o.axis, shape)];
  size_t at = 0;
  each_line(shape, o.axis, [&](int64_t first, int64_t step) {
    out[0].data[at++] = static_cast<double>(ranking(in[0], first, step, size, true)[0]);
  });
}

void compute(const op::TopK& o, const ReadInputs& in, Outputs& out) {
  const Shape& shape = in[0].type.shape;
  const int64_t size = shape[from_front(o.axis, shape)];
  std::vector<std::pair<int64_t, int64_t>> lines;  // of the outputs
  each_line(out[0].type.shape, o.axis,
            [&](int64_t first, int64_t step) { lines.emplace_back(first, step); });
  size_t line = 0;
  each_line(shape, o.axis, [&](int64_t first, int64_t step) {
    const std::vector<int64_t> order = ranking(in[0], first, step, size, o.largest);
    const auto [to, to_step] = lines[line++];
    for (int64_t i = 0; i < o.k; ++i) {
      const int64_t from = order[static_cast<size_t>(i)];
      out[0].data[static_cast<size_t>(to + i * to_step)] =
          in[0].data[static_cast<size_t>(first + from * step)];
      out[1].data[static_cast<size_t>(to + i * to_step)] = static_cast<double>(from);
    }
  });
}

void compute(const op::CumulativeSum& o, const ReadInputs& in, Outputs& out) {
  const Shape& shape = in[0].type.shape;
  const int64_t size = shape[from_front(o.axis, shape)];
  each_line(shape, o.axis, [&](int64_t first, int64_t step) {
    double sum = 0;
    for (int64_t i = 0; i < size; ++i)
      out[0].data[static_cast<size_t>(first + i * step)] = sum +=
          in[0].data[static_cast<size_t>(first + i * step)];
  });
}

}  // namespace residua
