#include <algorithm>
#include <cmath>

#include "residua/runtime/axis_taps.h"
#include "residua/runtime/elementwise.h"
#include "residua/runtime/parallel.h"

namespace residua {

namespace {

using kernels::AxisTaps;

constexpr int64_t kTapGrain = 8192;  // numbers for which a thread is worth while

// Sizes as they lie in memory, and which of them is each axis of the shape.
struct MemoryOrder {
  Shape sizes;
  std::vector<size_t> axis;
};

MemoryOrder memory_order(const Shape& shape, Layout layout) {
  MemoryOrder m;
  const size_t rank = shape.size();
  for (size_t i = 0; i < rank; ++i) m.axis.push_back(i);
  m.sizes = shape;
  if (layout == Layout::plain) return m;
  const int64_t block = block_of(layout, shape);
  m.sizes = {shape[0], (shape[1] + block - 1) / block};
  m.sizes.insert(m.sizes.end(), shape.begin() + 2, shape.end());
  m.sizes.push_back(block);
  return m;  // axis 1 is not asked for
}

void emit_pass(Lowering& l, const std::shared_ptr<const AxisTaps>& taps, const Shape& sizes,
               size_t axis, DType dtype, FormId x, FormId y) {
  int64_t outer = 1, inner = 1;
  for (size_t i = 0; i < sizes.size(); ++i) (i < axis ? outer : inner) *= sizes[i];
  const int64_t n = sizes[axis], m = taps->size();
  inner /= n;
  const int threads = l.threads();
  l.emit("taps", {x}, {y}, [=](const StepCall& c) {
    with_real_type(dtype, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      const T* from = c.at<const T>(x);
      T* to = c.at<T>(y);
      const int64_t grain = std::max<int64_t>(1, kTapGrain / inner);
      parallel_parts(threads, outer * m, grain, [&](int64_t begin, int64_t end) {
        while (begin < end) {
          const int64_t line = begin / m, stop = std::min(end, (line + 1) * m);
          kernels::apply_taps(*taps, from + line * n * inner, to + line * m * inner, inner,
                              begin - line * m, stop - line * m);
          begin = stop;
        }
      });
    });
  });
}

// Keys' cubic convolution with a = -0.75 at distance t.
double keys_cubic(double t) {
  constexpr double a = -0.75;
  t = std::abs(t);
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? ((t - 5) * t + 8) * a * t - 4 * a : 0;
}

AxisTaps taps_of_resize(const op::Resize& o, int64_t n, int64_t m) {
  AxisTaps taps;
  const auto add = [&](double place, double weight) {
    taps.add_tap(std::clamp<int64_t>(static_cast<int64_t>(place), 0, n - 1),
                 static_cast<float>(weight));
  };
  for (int64_t i = 0; i < m; ++i) {
    const auto to = static_cast<double>(i), from = static_cast<double>(n);
    const double at = o.align_corners ? (m > 1 ? to * (from - 1) / static_cast<double>(m - 1) : 0)
                                      : (to + 0.5) * from / static_cast<double>(m) - 0.5;
    const double below = std::floor(at), rest = std::max(0.0, at) - std::max(0.0, below);
    switch (o.mode) {
      case ResizeMode::nearest: taps.add_tap(i * n / m, 1); break;
      case ResizeMode::linear:  // nothing is extrapolated beyond the first and last place
        add(std::max(0.0, below), 1 - rest);
        if (rest > 0) add(below + 1, rest);
        break;
      case ResizeMode::cubic:
        for (int k = -1; k <= 2; ++k) add(below + k, keys_cubic(at - (below + k)));
        break;
    }
    taps.end_place();
  }
  return taps;
}

}  // namespace

bool emit_taps(Lowering& l, std::vector<std::optional<AxisTaps>> axes) {
  const Shape& shape = l.shape(l.input(0));
  if (!l.is_real(l.input(0)) || elements_of(shape) == 0 || elements_of(l.shape(l.output())) == 0)
    return false;
  const bool image = shape.size() > 2 && !axes[0] && !axes[1];
  const Layout wanted = image ? l.preferred_layout(l.input(0)) : Layout::plain;
  FormId x = l.want(l.input(0), l.working(), wanted);
  const Layout layout = l.form(x).layout;
  MemoryOrder order = memory_order(shape, layout);
  std::vector<size_t> passes;  // those that leave the least first
  for (size_t i = 0; i < axes.size(); ++i)
    if (axes[i]) passes.push_back(i);
  std::sort(passes.begin(), passes.end(), [&](size_t a, size_t b) {
    return axes[a]->size() * shape[b] < axes[b]->size() * shape[a];
  });
  if (passes.empty()) {
    l.share(0, x);
    return true;
  }
  for (const size_t i : passes) {
    const auto taps = std::make_shared<const AxisTaps>(std::move(*axes[i]));
    const size_t axis = order.axis[i];
    Shape next = order.sizes;
    next[axis] = taps->size();
    const FormId y = i == passes.back() ? l.write(0, l.working(), layout)
                                        : l.add_scratch_form(l.working(), {elements_of(next)});
    emit_pass(l, taps, order.sizes, axis, l.working(), x, y);
    order.sizes = next;
    x = y;
  }
  return true;
}

bool lower(const op::Resize& o, Lowering& l) {
  const Shape& shape = l.shape(l.input(0));
  std::vector<std::optional<AxisTaps>> axes(shape.size());
  for (size_t i = 2; i < shape.size(); ++i)
    if (o.sizes[i - 2] != shape[i]) axes[i] = taps_of_resize(o, shape[i], o.sizes[i - 2]);
  return emit_taps(l, std::move(axes));
}

bool lower_pool_by_taps(const op::Pool& o, Lowering& l) {
  const Shape &shape = l.shape(l.input(0)), &out = l.shape(l.output());
  std::vector<std::optional<AxisTaps>> axes(shape.size());
  for (size_t a = 0; a < o.kernel.size(); ++a) {
    AxisTaps taps{.largest = o.kind == PoolKind::max};
    const int64_t size = shape[a + 2];
    for (int64_t at = 0; at < out[a + 2]; ++at) {
      int64_t seen = 0, padded = 0;
      std::vector<int64_t> places;
      for (int64_t k = 0; k < o.kernel[a]; ++k) {
        const int64_t place = at * o.stride[a] - o.padding[a] + k * o.dilation[a];
        if (place < size + o.padding[o.kernel.size() + a]) ++padded;
        if (place < 0 || place >= size) continue;
        places.push_back(place);
        ++seen;
      }
      const auto count = static_cast<float>(o.count_padding ? padded : seen);
      for (const int64_t place : places) taps.add_tap(place, 1 / count);
      taps.end_place();
    }
    axes[a + 2] = std::move(taps);
  }
  return emit_taps(l, std::move(axes));
}

bool lower_adaptive_pool_by_taps(const op::AdaptivePool& o, Lowering& l) {
  const Shape& shape = l.shape(l.input(0));
  std::vector<std::optional<AxisTaps>> axes(shape.size());
  for (size_t a = 0; a < o.sizes.size(); ++a) {
    AxisTaps taps{.largest = o.kind == PoolKind::max};
    const int64_t n = shape[a + 2], m = o.sizes[a];
    for (int64_t i = 0; i < m; ++i) {
      const int64_t begin = i * n / m, end = ((i + 1) * n + m - 1) / m;
      for (int64_t place = begin; place < end; ++place)
        taps.add_tap(place, 1 / static_cast<float>(end - begin));
      taps.end_place();
    }
    axes[a + 2] = std::move(taps);
  }
  return emit_taps(l, std::move(axes));
}

bool lower_pad_by_taps(const op::Pad& o, Lowering& l) {
  const Shape &shape = l.shape(l.input(0)), &out = l.shape(l.output());
  std::vector<std::optional<AxisTaps>> axes(shape.size());
  for (size_t a = 0; a < shape.size(); ++a) {
    if (o.padding[a] == 0 && o.padding[a + shape.size()] == 0) continue;
    AxisTaps taps;
    for (int64_t i = 0; i < out[a]; ++i) {
      int64_t at = i - o.padding[a];
      if (o.mode == PadMode::reflect)
        at = at < 0 ? -at : at >= shape[a] ? 2 * (shape[a] - 1) - at : at;
      taps.add_tap(std::clamp<int64_t>(at, 0, shape[a] - 1), 1);
      taps.end_place();
    }
    axes[a] = std::move(taps);
  }
  return emit_taps(l, std::move(axes));
}

}  // namespace residua
