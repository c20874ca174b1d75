// Whole numbers and truth values: functions, casts, and operators that make them from nothing.
#include <algorithm>
#include <cmath>
#include <limits>

#include "residua/graph/numbers.h"
#include "residua/runtime/convert.h"
#include "residua/runtime/elementwise.h"
#include "residua/runtime/number_type.h"
#include "residua/runtime/parallel.h"

namespace residua {

namespace {

constexpr int64_t kWholeGrain = 16384;

template <class T>
T clamped_to_type(double x) {
  if constexpr (!std::is_integral_v<T>) return static_cast<T>(x);
  if (std::isnan(x)) return 0;
  const double whole = std::trunc(x);
  if (whole >= static_cast<double>(std::numeric_limits<T>::max()))
    return std::numeric_limits<T>::max();
  if (whole <= static_cast<double>(std::numeric_limits<T>::min()))
    return std::numeric_limits<T>::min();
  return static_cast<T>(whole);
}

// Calls body(function of one number).
template <class T, class Body>
bool with_whole_function(const op::Activation& f, const Body& body) {
  const double low = f.alpha, high = f.beta;
  switch (f.kind) {
    case UnaryKind::none:
    case UnaryKind::floor:
    case UnaryKind::ceil:
    case UnaryKind::round: return body([](T x) { return x; }), true;
    case UnaryKind::relu: return body([](T x) { return std::max<T>(x, 0); }), true;
    case UnaryKind::clamp:
      return body([=](T x) {
               return clamped_to_type<T>(std::min(std::max(static_cast<double>(x), low), high));
             }),
             true;
    case UnaryKind::square:
      return body([](T x) {
               const auto d = static_cast<double>(x);
               return clamped_to_type<T>(d * d);
             }),
             true;
    case UnaryKind::negate:
      return body([](T x) { return clamped_to_type<T>(-static_cast<double>(x)); }), true;
    case UnaryKind::absolute:
      return body([](T x) { return clamped_to_type<T>(std::abs(static_cast<double>(x))); }), true;
    case UnaryKind::sign: return body([](T x) { return static_cast<T>((x > 0) - (x < 0)); }), true;
    case UnaryKind::logical_not: return body([](T x) { return static_cast<T>(x == 0); }), true;
    default: return false;
  }
}

// A result that is known now.
void write_constant(Lowering& l, const Numbers& numbers) {
  const ConstantData data = write_numbers(numbers);
  const auto bytes = aligned_bytes(static_cast<int64_t>(data.bytes.size()));
  std::copy(data.bytes.begin(), data.bytes.end(), bytes.get());
  l.share(0, l.add_form({.dtype = numbers.type.dtype,
                         .shape = numbers.type.shape,
                         .constant = bytes,
                         .values = {}}));
}

TensorType plain_type(Lowering& l) {
  TensorType type = l.graph().value(l.output()).type;
  if (l.is_real(l.output())) type.dtype = DType::f32;
  return type;
}

}  // namespace

bool lower_function_of_integers(const op::Unary& o, Lowering& l) {
  const FormId x = l.want_plain(l.input(0));
  const DType dtype = l.form(x).dtype;
  if (!is_number_type(dtype) || !with_whole_function<int64_t>(o.function, [](auto) {}))
    return false;
  const FormId y = l.write(0, dtype, Layout::plain);
  const int64_t count = elements_of(l.shape(l.output()));
  const op::Activation function = o.function;
  const int threads = l.threads();
  l.emit("elements", {x}, {y}, [=](const StepCall& c) {
    with_number_type(dtype, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      with_whole_function<T>(function, [&](const auto& f) {
        parallel_parts(threads, count, kWholeGrain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) c.at<T>(y)[i] = f(c.at<const T>(x)[i]);
        });
      });
    });
  });
  return true;
}

// Real numbers are cut towards zero and kept in the type's range; what is not 0 is true.
bool lower_cast_to_whole(const op::Cast& o, Lowering& l) {
  const FormId x = l.want_plain(l.input(0));
  const DType from = l.form(x).dtype;
  if (!is_number_type(from) || !is_number_type(o.dtype)) return false;
  const FormId y = l.write(0, o.dtype, Layout::plain);
  const int64_t count = elements_of(l.shape(l.output()));
  const bool truth = o.dtype == DType::boolean;
  const DType to = o.dtype;
  const int threads = l.threads();
  l.emit("elements", {x}, {y}, [=](const StepCall& c) {
    with_number_type(from, [&](auto* source) {
      using S = std::remove_pointer_t<decltype(source)>;
      with_number_type(to, [&](auto* target) {
        using T = std::remove_pointer_t<decltype(target)>;
        const S* in = c.at<const S>(x);
        T* out = c.at<T>(y);
        parallel_parts(threads, count, kWholeGrain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i)
            out[i] = truth ? static_cast<T>(in[i] != S{0})
                           : clamped_to_type<T>(static_cast<double>(in[i]));
        });
      });
    });
  });
  return true;
}

bool lower(const op::Arange& o, Lowering& l) {
  Numbers numbers{plain_type(l), {}};
  for (int64_t n = elements_of(numbers.type.shape), i = 0; i < n; ++i)
    numbers.data.push_back(static_cast<double>(o.start) + static_cast<double>(i));
  write_constant(l, numbers);
  return true;
}

bool lower(const op::Fill& o, Lowering& l) {
  Numbers numbers{plain_type(l), {}};
  const double value =
      is_floating(numbers.type.dtype) ? o.value : to_nearest(o.value, numbers.type.dtype);
  numbers.data.assign(static_cast<size_t>(elements_of(numbers.type.shape)), value);
  write_constant(l, numbers);
  return true;
}

bool lower(const op::Triangle& o, Lowering& l) {
  const Shape shape = l.shape(l.output());
  const FormId x = l.want_plain(l.input(0));
  const DType dtype = l.form(x).dtype;
  const FormId y = l.write(0, dtype, Layout::plain);
  const int64_t columns = shape.back(), rows = shape[shape.size() - 2];
  const int64_t total = columns == 0 ? 0 : elements_of(shape) / columns;
  const int64_t size = element_size(dtype), diagonal = o.diagonal;
  const bool upper = o.upper;
  const int threads = l.threads();
  l.emit("rows", {x}, {y}, [=](const StepCall& c) {
    parallel_parts(threads, total, kWholeGrain / std::max<int64_t>(columns, 1) + 1,
                   [&](int64_t row, int64_t end) {
                     for (; row < end; ++row) {
                       // Columns before `cut` lie below or on the diagonal's left.
                       const int64_t cut =
                           std::clamp<int64_t>(row % rows + diagonal + (upper ? 0 : 1), 0, columns);
                       const std::byte* from = c.address[x] + row * columns * size;
                       std::byte* to = c.address[y] + row * columns * size;
                       std::copy(from, from + columns * size, to);
                       if (upper)
                         std::fill(to, to + cut * size, std::byte{});
                       else
                         std::fill(to + cut * size, to + columns * size, std::byte{});
                     }
                   });
  });
  return true;
}

}  // namespace residua
