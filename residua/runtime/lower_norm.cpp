// Softmax, normalisation and reductions, by our kernels.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "residua/kernels/rows.h"
#include "residua/runtime/elementwise.h"
#include "residua/runtime/parallel.h"

namespace residua {

namespace {

constexpr int64_t kRowGrain = 4096;  // numbers for which a thread is worth while

int64_t rows_grain(int64_t n) { return std::max<int64_t>(1, kRowGrain / std::max<int64_t>(n, 1)); }

FormId optional_f32(Lowering& l, size_t input) {
  return l.has(input) ? l.want(l.input(input), DType::f32, Layout::plain) : kNoForm;
}

// A constant array for a kernel that wants pointers.
FormId constant_array(Lowering& l, const std::vector<float>& numbers) {
  const auto bytes = static_cast<int64_t>(numbers.size() * sizeof(float));
  const auto memory = aligned_bytes(bytes);
  std::memcpy(memory.get(), numbers.data(), static_cast<size_t>(bytes));
  return l.add_constant(memory, bytes);
}

// y = f(x scale[c] + shift[c]), in any order of memory, as real numbers or integers. The arrays are
// filled up to whole blocks.
void emit_channel_scale(Lowering& l, const kernels::FunctionCall& after, FormId x, FormId y,
                        FormId scale, FormId shift) {
  const Form f = l.form(x), to = l.form(y);
  const int64_t spatial = spatial_of(f.shape), block = block_of(f.layout, f.shape);
  const int64_t blocks = (f.shape[1] + block - 1) / block;
  const int threads = l.threads();
  // run(first number, its channel, how many) for pieces of whole blocks.
  const auto each_piece = [=](const auto& run) {
    const int64_t places = f.shape[0] * blocks * spatial;
    parallel_parts(threads, places, rows_grain(block), [&](int64_t i, int64_t end) {
      while (i < end) {
        const int64_t line = i / spatial, stop = std::min(end, (line + 1) * spatial);
        run(i * block, line % blocks * block, (stop - i) * block);
        i = stop;
      }
    });
  };
  l.emit("scale and shift", {x, scale, shift}, {y}, [=](const StepCall& c) {
    const auto *by = c.at<const float>(scale), *plus = c.at<const float>(shift);
    const auto integers = [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      each_piece([&](int64_t at, int64_t channel, int64_t n) {
        kernels::scale_and_shift_to(after, c.at<const float>(x) + at, by + channel, plus + channel,
                                    1 / to.scale, c.at<T>(y) + at, n, block);
      });
    };
    if (to.dtype == DType::u8)
      integers(static_cast<uint8_t*>(nullptr));
    else if (to.dtype == DType::i8)
      integers(static_cast<int8_t*>(nullptr));
    else
      with_real_type(f.dtype, [&](auto* type) {
        using T = std::remove_pointer_t<decltype(type)>;
        each_piece([&](int64_t at, int64_t channel, int64_t n) {
          kernels::scale_and_shift(after, c.at<const T>(x) + at, by + channel, plus + channel,
                                   c.at<T>(y) + at, n, block);
        });
      });
    clear_padding(to, c.address[y]);
  });
}

}  // namespace

bool lower(const op::BatchNorm& o, Lowering& l) {
  for (size_t i = 1; i < 5; ++i)
    if (l.has(i) && !l.is_constant(l.input(i))) return false;
  const Shape& shape = l.shape(l.input(0));
  const auto mean = l.constant_numbers(l.input(1)), variance = l.constant_numbers(l.input(2));
  const size_t filled = mean.size() + 16;
  std::vector<float> scale(filled, 0), shift(filled, 0);
  std::vector<float> weight(mean.size(), 1), bias(mean.size(), 0);
  if (l.has(3)) weight = l.constant_numbers(l.input(3));
  if (l.has(4)) bias = l.constant_numbers(l.input(4));
  for (size_t i = 0; i < mean.size(); ++i) {
    const double s =
        static_cast<double>(weight[i]) / std::sqrt(static_cast<double>(variance[i]) + o.eps);
    scale[i] = static_cast<float>(s);
    shift[i] = static_cast<float>(static_cast<double>(bias[i]) - static_cast<double>(mean[i]) * s);
  }
  const Layout layout = shape.size() > 2 ? l.preferred_layout(l.input(0)) : Layout::plain;
  const FormId x = l.want(l.input(0), l.working(), layout);
  kernels::FunctionCall after;
  if (const Node* reader = l.only_reader<op::Unary>()) {
    after = function_call(std::get<op::Unary>(reader->operation).function);
    l.include(*reader);
  }
  // Integers at once where that is what all readers make of it.
  const auto wanted = l.working() == DType::f32 ? l.wanted_integer(l.output()) : std::nullopt;
  const FormId y = wanted               ? l.write(0, wanted->dtype, l.form(x).layout, wanted->scale)
                   : l.may_overwrite(x) ? l.write_over(0, x)
                                        : l.write(0, l.working(), l.form(x).layout);
  emit_channel_scale(l, after, x, y, constant_array(l, scale), constant_array(l, shift));
  return true;
}

bool lower(const op::LayerNorm& o, Lowering& l) {
  const Shape& shape = l.shape(l.input(0));
  int64_t n = 1;
  for (int64_t i = 0; i < o.axes; ++i) n *= shape[shape.size() - 1 - static_cast<size_t>(i)];
  const int64_t rows = n == 0 ? 0 : elements_of(shape) / n;
  const FormId x = l.want(l.input(0), l.working(), Layout::plain);
  const FormId weight = optional_f32(l, 1), bias = optional_f32(l, 2);
  const FormId y = l.may_overwrite(x) ? l.write_over(0, x) : l.write(0, l.working(), Layout::plain);
  const auto eps = static_cast<float>(o.eps);
  const bool rms = o.rms;
  const DType dtype = l.working();
  const int threads = l.threads();
  l.emit("rows", {x, weight, bias}, {y}, [=](const StepCall& c) {
    with_real_type(dtype, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      parallel_parts(threads, rows, rows_grain(n), [&](int64_t begin, int64_t end) {
        kernels::normalize_rows(c.at<const T>(x) + begin * n, c.at<const float>(weight),
                                c.at<const float>(bias), c.at<T>(y) + begin * n, end - begin, n,
                                eps, rms);
      });
    });
  });
  return true;
}

bool lower(const op::GroupNorm& o, Lowering& l) {
  const Shape& shape = l.shape(l.input(0));
  if (elements_of(shape) == 0) return false;
  const int64_t channels = shape[1] / o.groups, spatial = spatial_of(shape), n = channels * spatial;
  const FormId x = l.want(l.input(0), l.working(), Layout::plain);
  const FormId weight = optional_f32(l, 1), bias = optional_f32(l, 2);
  const FormId y = l.may_overwrite(x) ? l.write_over(0, x) : l.write(0, l.working(), Layout::plain);
  const auto eps = static_cast<float>(o.eps);
  const DType dtype = l.working();
  const int threads = l.threads();
  const int64_t groups = o.groups, rows = shape[0] * groups;
  l.emit("rows", {x, weight, bias}, {y}, [=](const StepCall& call) {
    with_real_type(dtype, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      const auto *w = call.at<const float>(weight), *b = call.at<const float>(bias);
      parallel_parts(threads, rows, rows_grain(n), [&](int64_t row, int64_t end) {
        for (; row < end; ++row) {
          float mean = 0, variance = 0;
          kernels::row_moments(call.at<const T>(x) + row * n, n, &mean, &variance);
          const float by = 1 / std::sqrt(variance + eps);
          for (int64_t k = 0; k < channels; ++k) {
            const int64_t channel = row % groups * channels + k, at = row * n + k * spatial;
            const float scale = w ? w[channel] * by : by;
            const float shift = (b ? b[channel] : 0) - mean * scale;
            kernels::scale_and_shift({}, call.at<const T>(x) + at, &scale, &shift,
                                     call.at<T>(y) + at, spatial, 1);
          }
        }
      });
    });
  });
  return true;
}

bool lower(const op::Softmax& o, Lowering& l) {
  const Shape& shape = l.shape(l.input(0));
  const auto rank = static_cast<int64_t>(shape.size());
  const int64_t axis = o.axis < 0 ? o.axis + rank : o.axis;
  if (rank == 0 || elements_of(shape) == 0) return false;
  const int64_t n = shape[static_cast<size_t>(axis)];
  int64_t inner = 1;
  for (int64_t i = axis + 1; i < rank; ++i) inner *= shape[static_cast<size_t>(i)];
  const FormId x = l.want(l.input(0), l.working(), Layout::plain);
  const FormId y = l.may_overwrite(x) ? l.write_over(0, x) : l.write(0, l.working(), Layout::plain);
  const int64_t rows = elements_of(shape) / n;
  const bool logarithm = o.log;
  const DType dtype = l.working();
  const int threads = l.threads();
  const int64_t scratch = inner > 1 ? threads * n * 4 : 0;
  l.emit(
      inner > 1 ? "columns" : "rows", {x}, {y},
      [=](const StepCall& c) {
        with_real_type(dtype, [&](auto* type) {
          using T = std::remove_pointer_t<decltype(type)>;
          const T* from = c.at<const T>(x);
          T* to = c.at<T>(y);
          if (inner == 1) {
            parallel_parts(threads, rows, rows_grain(n), [&](int64_t begin, int64_t end) {
              kernels::softmax_rows(from + begin * n, to + begin * n, end - begin, n, logarithm);
            });
            return;
          }
          parallel_parts(threads, threads, 1, [&](int64_t part, int64_t parts_end) {
            for (; part < parts_end; ++part) {
              T* row = reinterpret_cast<T*>(c.scratch + part * n * 4);
              for (int64_t r = rows * part / threads; r < rows * (part + 1) / threads; ++r) {
                const int64_t at = r / inner * n * inner + r % inner;
                for (int64_t i = 0; i < n; ++i) row[i] = from[at + i * inner];
                kernels::softmax_rows(row, row, 1, n, logarithm);
                for (int64_t i = 0; i < n; ++i) to[at + i * inner] = row[i];
              }
            }
          });
        });
      },
      scratch);
  return true;
}

bool lower(const op::Reduce& o, Lowering& l) {
  if (!l.is_real(l.input(0))) return lower_reduce_by_rows(o, l);
  kernels::Sum kind;
  switch (o.kind) {
    case ReduceKind::sum: kind = kernels::Sum::sum; break;
    case ReduceKind::mean: kind = kernels::Sum::mean; break;
    case ReduceKind::max: kind = kernels::Sum::max; break;
    case ReduceKind::min: kind = kernels::Sum::min; break;
    default: return lower_reduce_by_rows(o, l);
  }
  const Shape& shape = l.shape(l.input(0));
  const auto rank = static_cast<int64_t>(shape.size());
  if (elements_of(shape) == 0) return false;
  std::vector<bool> reduced(shape.size(), o.axes.empty());
  for (const int64_t a : o.axes) reduced[static_cast<size_t>(a < 0 ? a + rank : a)] = true;
  const auto first = std::find(reduced.begin(), reduced.end(), true);
  if (first == reduced.end()) return lower_reduce_by_rows(o, l);
  const auto last = std::find(first, reduced.end(), false);
  if (std::find(last, reduced.end(), true) != reduced.end())  // with a gap
    return lower_reduce_by_rows(o, l);
  int64_t outer = 1, n = 1, inner = 1;
  for (auto i = reduced.begin(); i != reduced.end(); ++i) {
    const int64_t size = shape[static_cast<size_t>(i - reduced.begin())];
    (i < first ? outer : i < last ? n : inner) *= size;
  }
  // Over all places of an image the blocked orders serve as well, and stay.
  Layout layout = Layout::plain;
  const bool over_places = rank > 2 && !reduced[0] && !reduced[1] && last == reduced.end() &&
                           first - reduced.begin() == 2;
  if (over_places) layout = l.preferred_layout(l.input(0));
  if (!o.keep && is_padded({.shape = shape, .layout = layout})) layout = Layout::plain;
  const FormId x = l.want(l.input(0), l.working(), layout);
  layout = l.form(x).layout;
  const int64_t block = block_of(layout, shape);
  if (layout != Layout::plain) {
    inner = block;
    outer = shape[0] * ((shape[1] + block - 1) / block);
  }
  const FormId y = l.write(0, l.working(), o.keep ? layout : Layout::plain);
  const DType dtype = l.working();
  const int threads = l.threads();
  l.emit(inner > 1 ? "columns" : "rows", {x}, {y}, [=](const StepCall& c) {
    with_real_type(dtype, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      parallel_parts(threads, outer, rows_grain(n * inner), [&](int64_t i, int64_t end) {
        for (; i < end; ++i)
          kernels::reduce_columns(kind, c.at<const T>(x) + i * n * inner, c.at<T>(y) + i * inner, n,
                                  inner);
      });
    });
  });
  return true;
}

}  // namespace residua
