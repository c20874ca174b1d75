// Operators along one axis, or over any set of axes, that are not among the fast row kernels: sums
// that run along a line, places of the largest, other reductions.
#include <algorithm>
#include <cmath>
#include <limits>

#include "residua/kernels/rows.h"
#include "residua/kernels/strided_copy.h"
#include "residua/runtime/elementwise.h"
#include "residua/runtime/number_type.h"
#include "residua/runtime/parallel.h"

namespace residua {

namespace {

constexpr int64_t kLineGrain = 8192;  // numbers for which a thread is worth while

// An axis of n numbers, `inner` apart; lines = outer * inner.
struct Lines {
  int64_t n = 1, inner = 1, lines = 1;
  Lines(const Shape& shape, int64_t axis) {
    const auto at =
        static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(shape.size()) : axis);
    n = shape[at];
    for (size_t i = at + 1; i < shape.size(); ++i) inner *= shape[i];
    lines = n == 0 ? 0 : elements_of(shape) / n;
  }
  // Where line i begins in an array with `count` numbers along the axis.
  int64_t first(int64_t i, int64_t count) const { return i / inner * count * inner + i % inner; }
  int64_t grain() const { return std::max<int64_t>(1, kLineGrain / std::max<int64_t>(n, 1)); }
};

template <class T>
bool is_above(T a, T b) {  // NaN above all
  if constexpr (std::is_floating_point_v<T>)
    if (a != a) return b == b;
  return a > b;
}

// Integers stay in their type's range.
template <class T>
T narrowed(double x) {
  if constexpr (std::is_integral_v<T>) {
    if (x >= static_cast<double>(std::numeric_limits<T>::max()))
      return std::numeric_limits<T>::max();
    if (x <= static_cast<double>(std::numeric_limits<T>::min()))
      return std::numeric_limits<T>::min();
  }
  return static_cast<T>(x);
}

template <class T>
T reduce_row(ReduceKind kind, bool unbiased, const T* x, int64_t n) {
  using Sum = std::conditional_t<std::is_integral_v<T>, int64_t, double>;
  const auto fold = [&](Sum state, auto f) {
    for (int64_t i = 0; i < n; ++i) state = f(state, static_cast<Sum>(x[i]));
    return state;
  };
  const auto add = [](Sum a, Sum b) { return a + b; };
  const auto count = static_cast<double>(n);
  switch (kind) {
    case ReduceKind::sum: return narrowed<T>(static_cast<double>(fold(0, add)));
    case ReduceKind::mean: return narrowed<T>(static_cast<double>(fold(0, add)) / count);
    case ReduceKind::prod:
      return narrowed<T>(static_cast<double>(fold(1, [](Sum a, Sum b) { return a * b; })));
    case ReduceKind::max:
    case ReduceKind::min: {
      T most = x[0];
      for (int64_t i = 1; i < n; ++i) {
        const bool nan = x[i] != x[i];
        if (nan || (kind == ReduceKind::max ? x[i] > most : x[i] < most)) most = x[i];
      }
      return most;
    }
    case ReduceKind::l2:
      return static_cast<T>(
          std::sqrt(static_cast<double>(fold(0, [](Sum a, Sum b) { return a + b * b; }))));
    case ReduceKind::variance: break;
  }
  const double mean = static_cast<double>(fold(0, add)) / count;
  double squares = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double d = static_cast<double>(x[i]) - mean;
    squares += d * d;
  }
  return static_cast<T>(squares / (unbiased ? count - 1 : count));
}

// The input with the axes that stay before those that are reduced.
FormId reduced_axes_last(Lowering& l, FormId x, const std::vector<bool>& reduced) {
  using kernels::StridedCopy;
  const Shape& shape = l.shape(l.input(0));
  const size_t rank = shape.size();
  std::vector<int64_t> strides(rank, 1);
  for (size_t i = rank; i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  StridedCopy copy{.element_bytes = element_size(l.form(x).dtype)};
  std::vector<size_t> order;
  for (const bool last : {false, true})
    for (size_t i = 0; i < rank; ++i)
      if (reduced[i] == last) order.push_back(i);
  std::vector<int64_t> to(rank, 1);
  for (size_t i = rank; i-- > 1;) to[i - 1] = to[i] * shape[order[i]];
  for (size_t i = 0; i < rank; ++i) copy.add_axis(shape[order[i]], strides[order[i]], to[i]);
  const StridedCopy simple = kernels::simplified(copy);
  if (simple.axes == 0 || (simple.axes == 1 && simple.from[0] == 1)) return x;
  const FormId y = l.add_scratch_form(l.form(x).dtype, {elements_of(shape)});
  const int threads = l.threads();
  l.emit(kStridedCopy, {x}, {y}, [=](const StepCall& c) {
    parallel_parts(threads, simple.sizes[0], 1, [&](int64_t begin, int64_t end) {
      kernels::copy_strided(simple, c.address[x], c.address[y], begin, end);
    });
  });
  return y;
}

}  // namespace

bool lower_reduce_by_rows(const op::Reduce& o, Lowering& l) {
  const Shape& shape = l.shape(l.input(0));
  const auto rank = static_cast<int64_t>(shape.size());
  if (shape.size() > kernels::StridedCopy::kMaxAxes || elements_of(shape) == 0) return false;
  const FormId plain = l.want_plain(l.input(0));
  const DType dtype = l.form(plain).dtype;
  if (!is_number_type(dtype) || dtype == DType::boolean) return false;
  std::vector<bool> reduced(shape.size(), o.axes.empty());
  for (const int64_t a : o.axes) reduced[static_cast<size_t>(a < 0 ? a + rank : a)] = true;
  const FormId x = reduced_axes_last(l, plain, reduced);
  const FormId y = l.write(0, dtype, Layout::plain);
  const int64_t rows = elements_of(l.shape(l.output())), n = elements_of(shape) / rows;
  const ReduceKind kind = o.kind;
  const bool unbiased = o.unbiased;
  const int threads = l.threads();
  l.emit("rows", {x}, {y}, [=](const StepCall& c) {
    with_number_type(dtype, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      parallel_parts(threads, rows, std::max<int64_t>(1, kLineGrain / n),
                     [&](int64_t begin, int64_t end) {
                       for (int64_t r = begin; r < end; ++r)
                         c.at<T>(y)[r] = reduce_row(kind, unbiased, c.at<const T>(x) + r * n, n);
                     });
    });
  });
  return true;
}

bool lower(const op::CumulativeSum& o, Lowering& l) {
  const FormId x = l.want_plain(l.input(0));
  const DType dtype = l.form(x).dtype;
  if (!is_number_type(dtype)) return false;
  const Lines lines(l.shape(l.input(0)), o.axis);
  const FormId y = l.write(0, dtype, Layout::plain);
  const int threads = l.threads();
  l.emit("lines", {x}, {y}, [=](const StepCall& c) {
    with_number_type(dtype, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      using Sum = std::conditional_t<std::is_integral_v<T>, int64_t, double>;
      parallel_parts(threads, lines.lines, lines.grain(), [&](int64_t line, int64_t end) {
        for (; line < end; ++line) {
          const int64_t first = lines.first(line, lines.n);
          Sum sum = 0;
          for (int64_t i = 0; i < lines.n; ++i) {
            const int64_t at = first + i * lines.inner;
            sum += static_cast<Sum>(c.at<const T>(x)[at]);
            c.at<T>(y)[at] = narrowed<T>(static_cast<double>(sum));
          }
        }
      });
    });
  });
  return true;
}

bool lower(const op::ArgMax& o, Lowering& l) {
  const FormId x = l.want_plain(l.input(0));
  const DType dtype = l.form(x).dtype;
  if (!is_number_type(dtype)) return false;
  const Lines lines(l.shape(l.input(0)), o.axis);
  const FormId y = l.write(0, DType::i64, Layout::plain);
  const int threads = l.threads();
  l.emit("lines", {x}, {y}, [=](const StepCall& c) {
    with_number_type(dtype, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      parallel_parts(threads, lines.lines, lines.grain(), [&](int64_t line, int64_t end) {
        for (; line < end; ++line) {
          const T* from = c.at<const T>(x) + lines.first(line, lines.n);
          int64_t best = 0;
          for (int64_t i = 1; i < lines.n; ++i)
            if (is_above(from[i * lines.inner], from[best * lines.inner])) best = i;
          c.at<int64_t>(y)[line] = best;
        }
      });
    });
  });
  return true;
}

bool lower(const op::TopK& o, Lowering& l) {
  const FormId x = l.want_plain(l.input(0));
  const DType dtype = l.form(x).dtype;
  if (!is_number_type(dtype)) return false;
  const Lines lines(l.shape(l.input(0)), o.axis);
  const FormId y = l.write(0, dtype, Layout::plain), at = l.write(1, DType::i64, Layout::plain);
  const int64_t k = o.k;
  const bool largest = o.largest;
  const int threads = l.threads();
  const int64_t scratch = lines.n * static_cast<int64_t>(sizeof(int64_t));
  const auto body = [=](const StepCall& c) {
    with_number_type(dtype, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      parallel_parts(threads, threads, 1, [&](int64_t part, int64_t parts_end) {
        for (; part < parts_end; ++part) {
          auto* order = reinterpret_cast<int64_t*>(c.scratch + part * scratch);
          for (int64_t line = lines.lines * part / threads;
               line < lines.lines * (part + 1) / threads; ++line) {
            const T* from = c.at<const T>(x) + lines.first(line, lines.n);
            for (int64_t i = 0; i < lines.n; ++i) order[i] = i;
            std::partial_sort(order, order + k, order + lines.n, [&](int64_t a, int64_t b) {
              const T u = from[a * lines.inner], v = from[b * lines.inner];
              if (largest ? is_above(u, v) : is_above(v, u)) return true;
              return !(largest ? is_above(v, u) : is_above(u, v)) && a < b;  // equals in order
            });
            const int64_t to = lines.first(line, k);
            for (int64_t i = 0; i < k; ++i) {
              c.at<T>(y)[to + i * lines.inner] = from[order[i] * lines.inner];
              c.at<int64_t>(at)[to + i * lines.inner] = order[i];
            }
          }
        }
      });
    });
  };
  l.emit("lines", {x}, {y, at}, body, scratch * threads);
  return true;
}

}  // namespace residua
