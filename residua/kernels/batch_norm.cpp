#include "residua/kernels/batch_norm.h"

#include <algorithm>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "residua/kernels/batch_norm.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "residua/kernels/bfloat16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace residua::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Calls body(tag, column) with vectors as wide as fit, halving the width at the end of a row.
template <int kMax, class Body>
HWY_INLINE void ColumnTail(int64_t& c, int64_t channels, const Body& body) {
  const hn::CappedTag<float, kMax> d;
  for (; c + static_cast<int64_t>(hn::Lanes(d)) <= channels; c += hn::Lanes(d)) body(d, c);
}

template <class Body>
HWY_INLINE void ForColumns(int64_t channels, const Body& body) {
  const hn::ScalableTag<float> d;
  int64_t c = 0;
  for (; c + static_cast<int64_t>(hn::Lanes(d)) <= channels; c += hn::Lanes(d)) body(d, c);
  if (c == channels) return;
  ColumnTail<8>(c, channels, body);
  ColumnTail<4>(c, channels, body);
  ColumnTail<2>(c, channels, body);
  ColumnTail<1>(c, channels, body);
}

// Rows are taken in groups: a column's coefficients are loaded once for a group, and memory is read
// in order, as few streams. `make(tag, column)` loads them and returns what is done at one position
// of the matrix.
constexpr int kGroup = 8;

template <int kRows, class Make>
HWY_INLINE void ApplyGroup(int64_t row, int64_t channels, const Make& make) {
  ForColumns(channels, [&](auto d, int64_t c) HWY_ATTR {
    const auto apply = make(d, c);
    for (int r = 0; r < kRows; ++r) apply((row + r) * channels + c);
  });
}

template <class Make>
HWY_INLINE void ApplyRows(int64_t rows, int64_t channels, const Make& make) {
  int64_t row = 0;
  // Wide rows spread the coefficients' loads by themselves, and many streams of writes are slow.
  if (channels <= 64)
    for (; row + kGroup <= rows; row += kGroup) ApplyGroup<kGroup>(row, channels, make);
  for (; row < rows; ++row) ApplyGroup<1>(row, channels, make);
}

template <int kRows, class Make>
HWY_INLINE void AddGroup(int64_t row, int64_t channels, const Make& make, float* HWY_RESTRICT first,
                         float* HWY_RESTRICT second) {
  ForColumns(channels, [&](auto d, int64_t c) HWY_ATTR {
    const auto term = make(d, c);
    // Two sums of each kind, for half the latency.
    auto a0 = hn::LoadU(d, first + c), a1 = hn::Zero(d), b0 = hn::LoadU(d, second + c),
         b1 = hn::Zero(d);
    for (int r = 0; r + 1 < kRows; r += 2) {
      term((row + r) * channels + c, a0, b0);
      term((row + r + 1) * channels + c, a1, b1);
    }
    if (kRows % 2 != 0) term((row + kRows - 1) * channels + c, a0, b0);
    hn::StoreU(hn::Add(a0, a1), d, first + c);
    hn::StoreU(hn::Add(b0, b1), d, second + c);
  });
}

// Two sums per column, in float32 over a chunk of rows, in double over chunks.
template <class Make>
HWY_INLINE void SumRows(int64_t rows, int64_t channels, const Make& make,
                        double* HWY_RESTRICT first, double* HWY_RESTRICT second) {
  constexpr int64_t kChunk = 256;
  std::vector<float> a(static_cast<size_t>(channels)), b(a.size());
  for (int64_t begin = 0; begin < rows; begin += kChunk) {
    const int64_t end = std::min(begin + kChunk, rows);
    std::fill(a.begin(), a.end(), 0.0f);
    std::fill(b.begin(), b.end(), 0.0f);
    int64_t row = begin;
    for (; row + kGroup <= end; row += kGroup)
      AddGroup<kGroup>(row, channels, make, a.data(), b.data());
    for (; row < end; ++row) AddGroup<1>(row, channels, make, a.data(), b.data());
    for (int64_t c = 0; c < channels; ++c) {
      first[c] += static_cast<double>(a[c]);
      second[c] += static_cast<double>(b[c]);
    }
  }
}

template <class T>
void ColumnMoments(const T* x, int64_t rows, int64_t channels, const float* pivot, double* sum,
                   double* square) {
  const auto make = [=](auto d, int64_t c) HWY_ATTR {
    const auto p = hn::LoadU(d, pivot + c);
    return [=](int64_t at, auto& a, auto& b) HWY_ATTR {
      const auto v = hn::Sub(LoadFloat(d, x + at), p);
      a = hn::Add(a, v);
      b = hn::MulAdd(v, v, b);
    };
  };
  SumRows(rows, channels, make, sum, square);
}

template <bool kResidual, bool kRelu, class T>
void ScaleShiftWith(const T* x, const T* residual, T* y, int64_t rows, int64_t channels,
                    const float* scale, const float* shift) {
  ApplyRows(rows, channels, [=](auto d, int64_t c) HWY_ATTR {
    const auto by = hn::LoadU(d, scale + c), plus = hn::LoadU(d, shift + c);
    return [=](int64_t at) HWY_ATTR {
      auto v = hn::MulAdd(LoadFloat(d, x + at), by, plus);
      if constexpr (kResidual) v = hn::Add(v, LoadFloat(d, residual + at));
      // Not Max, which drops NaN: a lost NaN would hide a diverging run.
      if constexpr (kRelu) v = hn::IfThenZeroElse(hn::Lt(v, hn::Zero(d)), v);
      StoreFloat(v, d, y + at);
    };
  });
}

template <class T>
void ScaleShift(const T* x, const T* residual, T* y, int64_t rows, int64_t channels,
                const float* scale, const float* shift, bool relu) {
  if (residual && relu)
    return ScaleShiftWith<true, true>(x, residual, y, rows, channels, scale, shift);
  if (residual) return ScaleShiftWith<true, false>(x, residual, y, rows, channels, scale, shift);
  if (relu) return ScaleShiftWith<false, true>(x, residual, y, rows, channels, scale, shift);
  ScaleShiftWith<false, false>(x, residual, y, rows, channels, scale, shift);
}

// Returns a function from a position and the input there to the gradient behind the ReLU.
template <ReluKind kKind, class D, class T>
HWY_INLINE auto MaskedGradient(D d, int64_t c, const T* dy, const ReluMask<T>& mask) {
  const bool recompute = kKind == ReluKind::recompute;
  const auto by = recompute ? hn::LoadU(d, mask.scale + c) : hn::Zero(d);
  const auto plus = recompute ? hn::LoadU(d, mask.shift + c) : hn::Zero(d);
  const T* y = mask.y;
  return [=](int64_t at, auto x) HWY_ATTR {
    const auto g = LoadFloat(d, dy + at);
    if constexpr (kKind == ReluKind::output)
      return hn::IfThenZeroElse(hn::Le(LoadFloat(d, y + at), hn::Zero(d)), g);
    if constexpr (kKind == ReluKind::recompute)
      return hn::IfThenZeroElse(hn::Le(hn::MulAdd(x, by, plus), hn::Zero(d)), g);
    return g;
  };
}

template <ReluKind kKind, class T>
void BackwardSumsWith(const T* dy, const T* x, T* masked, int64_t rows, int64_t channels,
                      const float* mean, const ReluMask<T>& mask, double* sum, double* product) {
  const auto make = [=](auto d, int64_t c) HWY_ATTR {
    const auto centre = hn::LoadU(d, mean + c);
    const auto gradient = MaskedGradient<kKind>(d, c, dy, mask);
    return [=](int64_t at, auto& a, auto& b) HWY_ATTR {
      const auto value = LoadFloat(d, x + at);
      const auto g = gradient(at, value);
      if (masked) StoreFloat(g, d, masked + at);
      a = hn::Add(a, g);
      b = hn::MulAdd(g, hn::Sub(value, centre), b);
    };
  };
  SumRows(rows, channels, make, sum, product);
}

template <class T>
void BackwardSums(const T* dy, const T* x, T* masked, int64_t rows, int64_t channels,
                  const float* mean, const ReluMask<T>& mask, double* sum, double* product) {
  switch (mask.kind) {
    case ReluKind::none:
      return BackwardSumsWith<ReluKind::none>(dy, x, masked, rows, channels, mean, mask, sum,
                                              product);
    case ReluKind::recompute:
      return BackwardSumsWith<ReluKind::recompute>(dy, x, masked, rows, channels, mean, mask, sum,
                                                   product);
    case ReluKind::output:
      return BackwardSumsWith<ReluKind::output>(dy, x, masked, rows, channels, mean, mask, sum,
                                                product);
  }
}

template <ReluKind kKind, class T>
void BackwardInputWith(const T* dy, const T* x, T* dx, int64_t rows, int64_t channels,
                       const float* mean, const ReluMask<T>& mask, const BackwardCoefficients& k) {
  ApplyRows(rows, channels, [=](auto d, int64_t c) HWY_ATTR {
    const auto centre = hn::LoadU(d, mean + c), by_g = hn::LoadU(d, k.by_g + c),
               by_x = hn::LoadU(d, k.by_x + c), constant = hn::LoadU(d, k.constant + c);
    const auto gradient = MaskedGradient<kKind>(d, c, dy, mask);
    return [=](int64_t at) HWY_ATTR {
      const auto value = LoadFloat(d, x + at);
      const auto rest = hn::MulAdd(by_x, hn::Sub(value, centre), constant);
      StoreFloat(hn::MulAdd(by_g, gradient(at, value), rest), d, dx + at);
    };
  });
}

template <class T>
void BackwardInput(const T* dy, const T* x, T* dx, int64_t rows, int64_t channels,
                   const float* mean, const ReluMask<T>& mask, const BackwardCoefficients& k) {
  switch (mask.kind) {
    case ReluKind::none:
      return BackwardInputWith<ReluKind::none>(dy, x, dx, rows, channels, mean, mask, k);
    case ReluKind::recompute:
      return BackwardInputWith<ReluKind::recompute>(dy, x, dx, rows, channels, mean, mask, k);
    case ReluKind::output:
      return BackwardInputWith<ReluKind::output>(dy, x, dx, rows, channels, mean, mask, k);
  }
}

// Dynamic dispatch takes plain functions: one of each kernel for each type.
#define RESIDUA_INSTANTIATE(T, name)                                                          \
  void ColumnMoments##name(const T* x, int64_t rows, int64_t channels, const float* pivot,    \
                           double* sum, double* square) {                                     \
    ColumnMoments(x, rows, channels, pivot, sum, square);                                     \
  }                                                                                           \
  void ScaleShift##name(const T* x, const T* residual, T* y, int64_t rows, int64_t channels,  \
                        const float* scale, const float* shift, bool relu) {                  \
    ScaleShift(x, residual, y, rows, channels, scale, shift, relu);                           \
  }                                                                                           \
  void BackwardSums##name(const T* dy, const T* x, T* masked, int64_t rows, int64_t channels, \
                          const float* mean, const ReluMask<T>& mask, double* sum,            \
                          double* product) {                                                  \
    BackwardSums(dy, x, masked, rows, channels, mean, mask, sum, product);                    \
  }                                                                                           \
  void BackwardInput##name(const T* dy, const T* x, T* dx, int64_t rows, int64_t channels,    \
                           const float* mean, const ReluMask<T>& mask,                        \
                           const BackwardCoefficients& k) {                                   \
    BackwardInput(dy, x, dx, rows, channels, mean, mask, k);                                  \
  }
RESIDUA_INSTANTIATE(float, F32)
RESIDUA_INSTANTIATE(Bf16, Bf16)
#undef RESIDUA_INSTANTIATE

}  // namespace HWY_NAMESPACE
}  // namespace residua::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace residua::kernels {

#define RESIDUA_DISPATCH(T, name)                                                                 \
  HWY_EXPORT(ColumnMoments##name);                                                                \
  HWY_EXPORT(ScaleShift##name);                                                                   \
  HWY_EXPORT(BackwardSums##name);                                                                 \
  HWY_EXPORT(BackwardInput##name);                                                                \
  template <>                                                                                     \
  void column_moments<T>(const T* x, int64_t rows, int64_t channels, const float* pivot,          \
                         double* sum, double* square) {                                           \
    HWY_DYNAMIC_DISPATCH(ColumnMoments##name)(x, rows, channels, pivot, sum, square);             \
  }                                                                                               \
  template <>                                                                                     \
  void scale_shift<T>(const T* x, const T* residual, T* y, int64_t rows, int64_t channels,        \
                      const float* scale, const float* shift, bool relu) {                        \
    HWY_DYNAMIC_DISPATCH(ScaleShift##name)(x, residual, y, rows, channels, scale, shift, relu);   \
  }                                                                                               \
  template <>                                                                                     \
  void batch_norm_backward_sums<T>(const T* dy, const T* x, T* masked, int64_t rows,              \
                                   int64_t channels, const float* mean, const ReluMask<T>& mask,  \
                                   double* sum, double* product) {                                \
    HWY_DYNAMIC_DISPATCH(BackwardSums##name)                                                      \
    (dy, x, masked, rows, channels, mean, mask, sum, product);                                    \
  }                                                                                               \
  template <>                                                                                     \
  void batch_norm_backward_input<T>(const T* dy, const T* x, T* dx, int64_t rows,                 \
                                    int64_t channels, const float* mean, const ReluMask<T>& mask, \
                                    const BackwardCoefficients& coefficients) {                   \
    HWY_DYNAMIC_DISPATCH(BackwardInput##name)                                                     \
    (dy, x, dx, rows, channels, mean, mask, coefficients);                                        \
  }
RESIDUA_DISPATCH(float, F32)
RESIDUA_DISPATCH(Bf16, Bf16)
#undef RESIDUA_DISPATCH

}  // namespace residua::kernels
#endif  // HWY_ONCE
