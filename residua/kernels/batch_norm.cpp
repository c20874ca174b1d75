#include "residua/kernels/batch_norm.h"

#include <algorithm>
#include <type_traits>
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

// Rows are taken in groups, so that a column's coefficients are loaded once for a group; memory is
// read in order, as few streams. `group(count, row)` does `count` rows, which is a compile-time
// constant.
constexpr int kGroup = 8;
template <int kRows>
using Count = std::integral_constant<int, kRows>;

template <class Group>
HWY_INLINE void ForGroups(int64_t row, int64_t end, const Group& group) {
  for (; row + kGroup <= end; row += kGroup) group(Count<kGroup>(), row);
  for (; row < end; ++row) group(Count<1>(), row);
}

// Wide rows spread the coefficients' loads by themselves, and many streams of writes are slow.
template <class Group>
HWY_INLINE void ForWrittenGroups(int64_t rows, int64_t channels, const Group& group) {
  if (channels <= 64) return ForGroups(0, rows, group);
  for (int64_t row = 0; row < rows; ++row) group(Count<1>(), row);
}

// Two sums per column, in float32 over a chunk of rows, in double over chunks. `group(count, row,
// a, b)` adds to the former.
template <class Group>
HWY_INLINE void SumRows(int64_t rows, int64_t channels, const Group& group,
                        double* HWY_RESTRICT first, double* HWY_RESTRICT second) {
  constexpr int64_t kChunk = 256;
  std::vector<float> sums(static_cast<size_t>(2 * channels));
  float *a = sums.data(), *b = a + channels;
  for (int64_t begin = 0; begin < rows; begin += kChunk) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    ForGroups(begin, std::min(begin + kChunk, rows),
              [&](auto count, int64_t row) HWY_ATTR { group(count, row, a, b); });
    for (int64_t c = 0; c < channels; ++c) {
      first[c] += static_cast<double>(a[c]);
      second[c] += static_cast<double>(b[c]);
    }
  }
}

template <class T>
void ColumnMoments(const T* x, int64_t rows, int64_t channels, const float* pivot, double* sum,
                   double* square) {
  const auto group = [&](auto count, int64_t row, float* a, float* b) HWY_ATTR {
    ForColumns(channels, [&](auto d, int64_t c) HWY_ATTR {
      const auto p = hn::LoadU(d, pivot + c);
      auto a0 = hn::LoadU(d, a + c), b0 = hn::LoadU(d, b + c);
      for (int64_t at = row * channels + c, r = 0; r < count; ++r, at += channels) {
        const auto v = hn::Sub(LoadFloat(d, x + at), p);
        a0 = hn::Add(a0, v);
        b0 = hn::MulAdd(v, v, b0);
      }
      hn::StoreU(a0, d, a + c);
      hn::StoreU(b0, d, b + c);
    });
  };
  SumRows(rows, channels, group, sum, square);
}

template <bool kResidual, bool kRelu, class T>
void ScaleShiftWith(const T* x, const T* residual, T* y, int64_t rows, int64_t channels,
                    const float* scale, const float* shift) {
  ForWrittenGroups(rows, channels, [&](auto count, int64_t row) HWY_ATTR {
    ForColumns(channels, [&](auto d, int64_t c) HWY_ATTR {
      const auto by = hn::LoadU(d, scale + c), plus = hn::LoadU(d, shift + c);
      for (int64_t at = row * channels + c, r = 0; r < count; ++r, at += channels) {
        auto v = hn::MulAdd(LoadFloat(d, x + at), by, plus);
        if constexpr (kResidual) v = hn::Add(v, LoadFloat(d, residual + at));
        // Not Max, which drops NaN: a lost NaN would hide a diverging run.
        if constexpr (kRelu) v = hn::IfThenZeroElse(hn::Lt(v, hn::Zero(d)), v);
        StoreFloat(v, d, y + at);
      }
    });
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

// A column's scale and shift where the mask is recomputed from them.
template <ReluKind kKind, class D>
HWY_INLINE hn::Vec<D> MaskCoefficient(D d, const float* coefficient, int64_t c) {
  if constexpr (kKind == ReluKind::recompute) return hn::LoadU(d, coefficient + c);
  return hn::Zero(d);
}

// The gradient behind the ReLU at one position, where the input was x.
template <ReluKind kKind, class D, class T>
HWY_INLINE hn::Vec<D> MaskedGradient(D d, const T* dy, const T* y, hn::Vec<D> x, hn::Vec<D> by,
                                     hn::Vec<D> plus) {
  const auto g = LoadFloat(d, dy);
  if constexpr (kKind == ReluKind::output)
    return hn::IfThenZeroElse(hn::Le(LoadFloat(d, y), hn::Zero(d)), g);
  if constexpr (kKind == ReluKind::recompute)
    return hn::IfThenZeroElse(hn::Le(hn::MulAdd(x, by, plus), hn::Zero(d)), g);
  return g;
}

template <ReluKind kKind, bool kStore, class T>
void BackwardSumsWith(const T* dy, const T* x, T* masked, int64_t rows, int64_t channels,
                      const float* mean, const ReluMask<T>& mask, double* sum, double* product) {
  const T* y = kKind == ReluKind::output ? mask.y : dy;
  const auto group = [&](auto count, int64_t row, float* a, float* b) HWY_ATTR {
    ForColumns(channels, [&](auto d, int64_t c) HWY_ATTR {
      const auto centre = hn::LoadU(d, mean + c), by = MaskCoefficient<kKind>(d, mask.scale, c),
                 plus = MaskCoefficient<kKind>(d, mask.shift, c);
      auto a0 = hn::LoadU(d, a + c), b0 = hn::LoadU(d, b + c);
      for (int64_t at = row * channels + c, r = 0; r < count; ++r, at += channels) {
        const auto value = LoadFloat(d, x + at);
        const auto g = MaskedGradient<kKind>(d, dy + at, y + at, value, by, plus);
        if constexpr (kStore) StoreFloat(g, d, masked + at);
        a0 = hn::Add(a0, g);
        b0 = hn::MulAdd(g, hn::Sub(value, centre), b0);
      }
      hn::StoreU(a0, d, a + c);
      hn::StoreU(b0, d, b + c);
    });
  };
  SumRows(rows, channels, group, sum, product);
}

template <ReluKind kKind, class T>
void BackwardInputWith(const T* dy, const T* x, T* dx, int64_t rows, int64_t channels,
                       const float* mean, const ReluMask<T>& mask, const BackwardCoefficients& k) {
  const T* y = kKind == ReluKind::output ? mask.y : dy;
  ForWrittenGroups(rows, channels, [&](auto count, int64_t row) HWY_ATTR {
    ForColumns(channels, [&](auto d, int64_t c) HWY_ATTR {
      const auto centre = hn::LoadU(d, mean + c), by_g = hn::LoadU(d, k.by_g + c),
                 by_x = hn::LoadU(d, k.by_x + c), constant = hn::LoadU(d, k.constant + c),
                 by = MaskCoefficient<kKind>(d, mask.scale, c),
                 plus = MaskCoefficient<kKind>(d, mask.shift, c);
      for (int64_t at = row * channels + c, r = 0; r < count; ++r, at += channels) {
        const auto value = LoadFloat(d, x + at);
        const auto g = MaskedGradient<kKind>(d, dy + at, y + at, value, by, plus);
        const auto rest = hn::MulAdd(by_x, hn::Sub(value, centre), constant);
        StoreFloat(hn::MulAdd(by_g, g, rest), d, dx + at);
      }
    });
  });
}

// call(constant) with the mask's kind as a compile-time constant.
template <class Call>
HWY_INLINE void WithKind(ReluKind kind, const Call& call) {
  switch (kind) {
    case ReluKind::none: return call(std::integral_constant<ReluKind, ReluKind::none>());
    case ReluKind::recompute: return call(std::integral_constant<ReluKind, ReluKind::recompute>());
    case ReluKind::output: return call(std::integral_constant<ReluKind, ReluKind::output>());
  }
}

template <class T>
void BackwardSums(const T* dy, const T* x, T* masked, int64_t rows, int64_t channels,
                  const float* mean, const ReluMask<T>& mask, double* sum, double* product) {
  WithKind(mask.kind, [&](auto kind) {
    if (masked) {
      BackwardSumsWith<decltype(kind)::value, true>(dy, x, masked, rows, channels, mean, mask, sum,
                                                    product);
    } else {
      BackwardSumsWith<decltype(kind)::value, false>(dy, x, masked, rows, channels, mean, mask, sum,
                                                     product);
    }
  });
}

template <class T>
void BackwardInput(const T* dy, const T* x, T* dx, int64_t rows, int64_t channels,
                   const float* mean, const ReluMask<T>& mask, const BackwardCoefficients& k) {
  WithKind(mask.kind, [&](auto kind) {
    BackwardInputWith<decltype(kind)::value>(dy, x, dx, rows, channels, mean, mask, k);
  });
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
