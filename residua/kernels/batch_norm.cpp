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
HWY_INLINE void ForColumns(int64_t c, int64_t channels, const Body& body) {
  const hn::ScalableTag<float> d;
  for (; c + static_cast<int64_t>(hn::Lanes(d)) <= channels; c += hn::Lanes(d)) body(d, c);
  if (c == channels) return;
  ColumnTail<8>(c, channels, body);
  ColumnTail<4>(c, channels, body);
  ColumnTail<2>(c, channels, body);
  ColumnTail<1>(c, channels, body);
}

// Two running sums of a column block, kVectors wide and kRows rows at a time, so that several
// additions are under way at once. `term(tag, row, column, a, b)` adds one vector's contribution to
// the sums a and b.
template <int kVectors, int kRows, class D, class Term>
HWY_INLINE void SumBlock(D d, int64_t c, int64_t rows, const Term& term, double* HWY_RESTRICT first,
                         double* HWY_RESTRICT second) {
  const int64_t lanes = hn::Lanes(d);
  hn::Vec<D> a[kVectors * kRows], b[kVectors * kRows];
  for (auto& v : a) v = hn::Zero(d);
  for (auto& v : b) v = hn::Zero(d);
  int64_t row = 0;
  for (; row + kRows <= rows; row += kRows)
    for (int r = 0; r < kRows; ++r)
      for (int v = 0; v < kVectors; ++v)
        term(d, row + r, c + v * lanes, a[r * kVectors + v], b[r * kVectors + v]);
  for (; row < rows; ++row)
    for (int v = 0; v < kVectors; ++v) term(d, row, c + v * lanes, a[v], b[v]);
  HWY_ALIGN float out[2][64];
  for (int v = 0; v < kVectors; ++v) {
    for (int r = 1; r < kRows; ++r) {
      a[v] = hn::Add(a[v], a[r * kVectors + v]);
      b[v] = hn::Add(b[v], b[r * kVectors + v]);
    }
    hn::StoreU(a[v], d, out[0]);
    hn::StoreU(b[v], d, out[1]);
    for (int64_t i = 0; i < lanes; ++i) {
      first[c + v * lanes + i] += static_cast<double>(out[0][i]);
      second[c + v * lanes + i] += static_cast<double>(out[1][i]);
    }
  }
}

// Adds kRows whole rows to the float sums of all columns: memory is read in order, as few streams.
template <int kRows, class Term>
HWY_INLINE void AddRows(int64_t row, int64_t channels, const Term& term, float* HWY_RESTRICT first,
                        float* HWY_RESTRICT second) {
  ForColumns(0, channels, [&](auto d, int64_t c) HWY_ATTR {
    auto a = hn::LoadU(d, first + c), b = hn::LoadU(d, second + c);
    for (int r = 0; r < kRows; ++r) term(d, row + r, c, a, b);
    hn::StoreU(a, d, first + c);
    hn::StoreU(b, d, second + c);
  });
}

// For wide rows: float sums of a chunk lie in memory, which stays in the first cache level.
template <class Term>
HWY_INLINE void SumWideRows(int64_t rows, int64_t channels, const Term& term,
                            double* HWY_RESTRICT first, double* HWY_RESTRICT second) {
  constexpr int64_t kChunk = 128;
  std::vector<float> a(static_cast<size_t>(channels)), b(a.size());
  for (int64_t begin = 0; begin < rows; begin += kChunk) {
    const int64_t end = std::min(begin + kChunk, rows);
    std::fill(a.begin(), a.end(), 0.0f);
    std::fill(b.begin(), b.end(), 0.0f);
    int64_t row = begin;
    for (; row + 8 <= end; row += 8) AddRows<8>(row, channels, term, a.data(), b.data());
    for (; row < end; ++row) AddRows<1>(row, channels, term, a.data(), b.data());
    for (int64_t c = 0; c < channels; ++c) {
      first[c] += static_cast<double>(a[c]);
      second[c] += static_cast<double>(b[c]);
    }
  }
}

// For narrow rows: the sums of a chunk stay in registers.
template <class Term>
HWY_INLINE void SumNarrowRows(int64_t rows, int64_t channels, const Term& term, double* first,
                              double* second) {
  constexpr int64_t kChunk = 512;
  const hn::ScalableTag<float> d;
  const int64_t lanes = hn::Lanes(d);
  for (int64_t row = 0; row < rows; row += kChunk) {
    const int64_t n = std::min(kChunk, rows - row);
    const auto chunk_term = [&](auto tag, int64_t r, int64_t c, auto& a, auto& b)
                                HWY_ATTR { term(tag, row + r, c, a, b); };
    int64_t c = 0;
    for (; c + 4 * lanes <= channels; c += 4 * lanes)
      SumBlock<4, 1>(d, c, n, chunk_term, first, second);
    for (; c + 2 * lanes <= channels; c += 2 * lanes)
      SumBlock<2, 2>(d, c, n, chunk_term, first, second);
    ForColumns(c, channels, [&](auto tag, int64_t column) HWY_ATTR {
      SumBlock<1, 4>(tag, column, n, chunk_term, first, second);
    });
  }
}

template <class Term>
HWY_INLINE void SumColumns(int64_t rows, int64_t channels, const Term& term, double* first,
                           double* second) {
  if (channels > 64) return SumWideRows(rows, channels, term, first, second);
  SumNarrowRows(rows, channels, term, first, second);
}

template <class T>
void ColumnMoments(const T* HWY_RESTRICT x, int64_t rows, int64_t channels,
                   const float* HWY_RESTRICT pivot, double* sum, double* square) {
  const auto term = [=](auto d, int64_t row, int64_t c, auto& a, auto& b) HWY_ATTR {
    const auto v = hn::Sub(LoadFloat(d, x + row * channels + c), hn::LoadU(d, pivot + c));
    a = hn::Add(a, v);
    b = hn::MulAdd(v, v, b);
  };
  SumColumns(rows, channels, term, sum, square);
}

template <bool kResidual, bool kRelu, class T>
void ScaleShiftWith(const T* x, const T* residual, T* y, int64_t rows, int64_t channels,
                    const float* HWY_RESTRICT scale, const float* HWY_RESTRICT shift) {
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t at = row * channels;
    ForColumns(0, channels, [&](auto d, int64_t c) HWY_ATTR {
      auto v =
          hn::MulAdd(LoadFloat(d, x + at + c), hn::LoadU(d, scale + c), hn::LoadU(d, shift + c));
      if constexpr (kResidual) v = hn::Add(v, LoadFloat(d, residual + at + c));
      // Not Max, which drops NaN: a lost NaN would hide a diverging run.
      if constexpr (kRelu) v = hn::IfThenZeroElse(hn::Lt(v, hn::Zero(d)), v);
      StoreFloat(v, d, y + at + c);
    });
  }
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

// The gradient behind the ReLU.
template <class T, typename ReluMask<T>::Kind kKind>
struct Masked {
  const T* HWY_RESTRICT dy;
  ReluMask<T> mask;

  template <class D>
  HWY_INLINE hn::Vec<D> operator()(D d, int64_t at, int64_t c, hn::Vec<D> x) const {
    using Kind = typename ReluMask<T>::Kind;
    const auto g = LoadFloat(d, dy + at);
    if constexpr (kKind == Kind::output)
      return hn::IfThenZeroElse(hn::Le(LoadFloat(d, mask.y + at), hn::Zero(d)), g);
    if constexpr (kKind == Kind::recompute) {
      const auto y = hn::MulAdd(x, hn::LoadU(d, mask.scale + c), hn::LoadU(d, mask.shift + c));
      return hn::IfThenZeroElse(hn::Le(y, hn::Zero(d)), g);
    }
    return g;
  }
};

template <class T, class Call>
HWY_INLINE void WithMask(const T* dy, const ReluMask<T>& mask, const Call& call) {
  using Kind = typename ReluMask<T>::Kind;
  switch (mask.kind) {
    case Kind::none: return call(Masked<T, Kind::none>{dy, mask});
    case Kind::recompute: return call(Masked<T, Kind::recompute>{dy, mask});
    case Kind::output: return call(Masked<T, Kind::output>{dy, mask});
  }
}

template <class T>
void BackwardSums(const T* dy, const T* HWY_RESTRICT x, T* masked, int64_t rows, int64_t channels,
                  const float* HWY_RESTRICT mean, const ReluMask<T>& mask, double* sum,
                  double* product) {
  WithMask(dy, mask, [&](const auto& gradient) HWY_ATTR {
    const auto term = [=](auto d, int64_t row, int64_t c, auto& a, auto& b) HWY_ATTR {
      const int64_t at = row * channels + c;
      const auto value = LoadFloat(d, x + at);
      const auto g = gradient(d, at, c, value);
      if (masked) StoreFloat(g, d, masked + at);
      a = hn::Add(a, g);
      b = hn::MulAdd(g, hn::Sub(value, hn::LoadU(d, mean + c)), b);
    };
    SumColumns(rows, channels, term, sum, product);
  });
}

template <class T>
void BackwardInput(const T* dy, const T* HWY_RESTRICT x, T* dx, int64_t rows, int64_t channels,
                   const float* HWY_RESTRICT mean, const ReluMask<T>& mask,
                   const BackwardCoefficients& k) {
  WithMask(dy, mask, [&](const auto& gradient) HWY_ATTR {
    for (int64_t row = 0; row < rows; ++row) {
      ForColumns(0, channels, [&](auto d, int64_t c) HWY_ATTR {
        const int64_t at = row * channels + c;
        const auto value = LoadFloat(d, x + at);
        const auto g = gradient(d, at, c, value);
        const auto centred = hn::Sub(value, hn::LoadU(d, mean + c));
        const auto rest =
            hn::MulAdd(hn::LoadU(d, k.by_x + c), centred, hn::LoadU(d, k.constant + c));
        StoreFloat(hn::MulAdd(hn::LoadU(d, k.by_g + c), g, rest), d, dx + at);
      });
    }
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
