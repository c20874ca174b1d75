// Pairs that the fast kernels do not have: comparisons, logic, whole numbers, powers, operands that
// both repeat; and the choice by a condition.
#include <algorithm>
#include <cmath>
#include <limits>

#include "residua/runtime/broadcast.h"
#include "residua/runtime/elementwise.h"
#include "residua/runtime/number_type.h"

namespace residua {

namespace {

constexpr int64_t kPairGrain = 8192;

template <class T>
T divided(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) return 0;
    if (std::is_signed_v<T> && b == static_cast<T>(-1))  // the least number has no negative
      return a == std::numeric_limits<T>::min() ? std::numeric_limits<T>::max()
                                                : static_cast<T>(-a);
    return static_cast<T>(a / b);
  } else {
    return a / b;
  }
}

// Rounded down; PyTorch's remainder has the sign of the divisor.
template <class T>
T floor_divided(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    const T q = divided(a, b);
    return b != 0 && a % (b == static_cast<T>(-1) ? 1 : b) != 0 && (a < 0) != (b < 0)
               ? static_cast<T>(q - 1)
               : q;
  } else {
    return std::floor(a / b);
  }
}

template <class T>
T remainder_of(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == 0 || (std::is_signed_v<T> && b == static_cast<T>(-1))) return 0;
    const T rest = static_cast<T>(a % b);
    return rest != 0 && (rest < 0) != (b < 0) ? static_cast<T>(rest + b) : rest;
  } else {
    const T rest = std::fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  }
}

template <class T>
T power_of(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    const double p = std::pow(static_cast<double>(a), static_cast<double>(b));
    constexpr auto high = static_cast<double>(std::numeric_limits<T>::max());
    if (p >= high) return std::numeric_limits<T>::max();
    return p <= static_cast<double>(std::numeric_limits<T>::min()) ? std::numeric_limits<T>::min()
                                                                   : static_cast<T>(p);
  } else {
    return std::pow(a, b);
  }
}

template <class T>
bool is_nan(T x) {
  return x != x;
}

// Results stay in the range of their type; 64 bits wrap around.
template <class T, class F>
T in_range(T a, T b, const F& f) {
  if constexpr (!std::is_integral_v<T>) {
    return f(a, b);
  } else if constexpr (sizeof(T) < sizeof(int64_t)) {
    return static_cast<T>(std::clamp<int64_t>(
        f(int64_t{a}, int64_t{b}), std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
  } else {
    return static_cast<T>(f(static_cast<uint64_t>(a), static_cast<uint64_t>(b)));
  }
}

// Calls body(function of two numbers, null pointer of the result's type).
template <class T, class Body>
void with_pair(BinaryKind kind, const Body& body) {
  const auto number = [&](auto f) { body(f, static_cast<T*>(nullptr)); };
  const auto truth = [&](auto f) { body(f, static_cast<uint8_t*>(nullptr)); };
  switch (kind) {
    case BinaryKind::add:
      return number([](T a, T b) { return in_range(a, b, [](auto x, auto y) { return x + y; }); });
    case BinaryKind::subtract:
      return number([](T a, T b) { return in_range(a, b, [](auto x, auto y) { return x - y; }); });
    case BinaryKind::multiply:
      return number([](T a, T b) { return in_range(a, b, [](auto x, auto y) { return x * y; }); });
    case BinaryKind::divide: return number([](T a, T b) { return divided(a, b); });
    case BinaryKind::power: return number([](T a, T b) { return power_of(a, b); });
    case BinaryKind::minimum: return number([](T a, T b) { return is_nan(b) || b < a ? b : a; });
    case BinaryKind::maximum: return number([](T a, T b) { return is_nan(b) || b > a ? b : a; });
    case BinaryKind::floor_divide: return number([](T a, T b) { return floor_divided(a, b); });
    case BinaryKind::remainder: return number([](T a, T b) { return remainder_of(a, b); });
    case BinaryKind::equal: return truth([](T a, T b) { return a == b; });
    case BinaryKind::not_equal: return truth([](T a, T b) { return a != b; });
    case BinaryKind::less: return truth([](T a, T b) { return a < b; });
    case BinaryKind::less_equal: return truth([](T a, T b) { return a <= b; });
    case BinaryKind::greater: return truth([](T a, T b) { return a > b; });
    case BinaryKind::greater_equal: return truth([](T a, T b) { return a >= b; });
    case BinaryKind::logical_and: return truth([](T a, T b) { return a != 0 && b != 0; });
    case BinaryKind::logical_or: return truth([](T a, T b) { return a != 0 || b != 0; });
  }
}

// Lines whose numbers lie side by side, or of which one operand is a single number, run in vectors.
template <class T, class R, class F>
void run_pair_line(const F& f, const T* a, int64_t a_step, const T* b, int64_t b_step, R* y,
                   int64_t n) {
  const auto loop = [&](auto at_a, auto at_b) {
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<R>(f(at_a(i), at_b(i)));
  };
  const T first_a = *a, first_b = *b;
  if (a_step == 1 && b_step == 1)
    return loop([=](int64_t i) { return a[i]; }, [=](int64_t i) { return b[i]; });
  if (a_step == 1 && b_step == 0)
    return loop([=](int64_t i) { return a[i]; }, [=](int64_t) { return first_b; });
  if (a_step == 0 && b_step == 1)
    return loop([=](int64_t) { return first_a; }, [=](int64_t i) { return b[i]; });
  loop([=](int64_t i) { return a[i * a_step]; }, [=](int64_t i) { return b[i * b_step]; });
}

}  // namespace

bool lower_pair_by_lines(const op::Binary& o, Lowering& l) {
  const Form from{.dtype = l.form(l.want_plain(l.input(0))).dtype};
  const bool real = l.is_real(l.output());
  if (!is_number_type(from.dtype)) return false;
  if (!real && o.activation.kind != UnaryKind::none) return false;
  const FormId a = l.want_plain(l.input(0)), b = l.want_plain(l.input(1));
  const DType result = real ? DType::f32 : l.graph().value(l.output()).type.dtype;
  if (!is_number_type(result)) return false;
  const FormId y = l.write(0, result, Layout::plain);
  const Broadcast lines(l.shape(l.output()), {l.shape(l.input(0)), l.shape(l.input(1))});
  const kernels::FunctionCall after = function_call(o.activation);
  const BinaryKind kind = o.kind;
  const int threads = l.threads();
  if (elements_of(l.shape(l.output())) == 0) return true;
  l.emit("pair, by lines", {a, b}, {y}, [=](const StepCall& c) {
    with_number_type(from.dtype, [&](auto* type) {
      using T = std::remove_pointer_t<decltype(type)>;
      with_pair<T>(kind, [&](const auto& f, auto* result_type) {
        using R = std::remove_pointer_t<decltype(result_type)>;
        lines.run(threads, kPairGrain, [&](int64_t at, const Broadcast::Places& places, int64_t n) {
          R* to = c.at<R>(y) + at;
          run_pair_line(f, c.at<const T>(a) + places[0], lines.steps()[0],
                        c.at<const T>(b) + places[1], lines.steps()[1], to, n);
          if constexpr (std::is_same_v<R, float>)
            if (after.function != kernels::Function::none)
              kernels::apply_function(after, to, to, n);
        });
      });
    });
  });
  return true;
}

bool lower(const op::Where&, Lowering& l) {
  const FormId yes = l.want_plain(l.input(1)), no = l.want_plain(l.input(2)),
               condition = l.want_plain(l.input(0));
  const DType dtype = l.form(yes).dtype;
  const int64_t size = element_size(dtype);
  if (size != 1 && size != 2 && size != 4 && size != 8) return false;
  const FormId y = l.write(0, dtype, Layout::plain);
  if (elements_of(l.shape(l.output())) == 0) return true;
  const Broadcast lines(l.shape(l.output()),
                        {l.shape(l.input(0)), l.shape(l.input(1)), l.shape(l.input(2))});
  const int threads = l.threads();
  const auto run = [=](const StepCall& c, auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const Broadcast::Places& step = lines.steps();
    lines.run(threads, kPairGrain, [&](int64_t at, const Broadcast::Places& places, int64_t n) {
      const uint8_t* chosen = c.at<const uint8_t>(condition) + places[0];
      const T *first = c.at<const T>(yes) + places[1], *second = c.at<const T>(no) + places[2];
      T* to = c.at<T>(y) + at;
      for (int64_t i = 0; i < n; ++i)
        to[i] = chosen[i * step[0]] != 0 ? first[i * step[1]] : second[i * step[2]];
    });
  };
  l.emit("choice, by lines", {condition, yes, no}, {y}, [=](const StepCall& c) {
    if (size == 1) return run(c, static_cast<uint8_t*>(nullptr));
    if (size == 2) return run(c, static_cast<uint16_t*>(nullptr));
    if (size == 4) return run(c, static_cast<uint32_t*>(nullptr));
    run(c, static_cast<uint64_t*>(nullptr));
  });
  return true;
}

}  // namespace residua
