#include "residua/kernels/rows.h"

#include <algorithm>
#include <cmath>
#include <limits>

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "residua/kernels/rows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "residua/kernels/bfloat16-inl.h"
#include "residua/kernels/functions-inl.h"

HWY_BEFORE_NAMESPACE();
namespace residua::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using RowFloat = hn::ScalableTag<float>;

// The last numbers of a row as a vector, filled up.
template <class T>
HWY_INLINE hn::Vec<RowFloat> LoadTail(const T* x, int64_t n, float fill) {
  const RowFloat d;
  HWY_ALIGN float tail[hn::MaxLanes(RowFloat())];
  const hn::CappedTag<float, 1> one;
  hn::Store(hn::Set(d, fill), d, tail);
  n = std::min<int64_t>(n, hn::MaxLanes(d));  // known; the compiler warns where it is not written
  for (int64_t i = 0; i < n; ++i) hn::StoreU(LoadFloat(one, x + i), one, tail + i);
  return hn::Load(d, tail);
}

template <class T>
HWY_INLINE void StoreTail(hn::Vec<RowFloat> v, T* y, int64_t n) {
  const RowFloat d;
  HWY_ALIGN float tail[hn::MaxLanes(RowFloat())];
  const hn::CappedTag<float, 1> one;
  hn::Store(v, d, tail);
  n = std::min<int64_t>(n, hn::MaxLanes(d));
  for (int64_t i = 0; i < n; ++i) StoreFloat(hn::LoadU(one, tail + i), one, y + i);
}

// state = f(state, vector) over a row, the end filled up.
template <class T, class F>
HWY_INLINE hn::Vec<RowFloat> FoldRow(const T* x, int64_t n, hn::Vec<RowFloat> state, float fill,
                                     const F& f) {
  const RowFloat d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) state = f(state, LoadFloat(d, x + i));
  if (i < n) state = f(state, LoadTail(x + i, n - i, fill));
  return state;
}

template <class T, class F>
HWY_INLINE void MapRow(const T* x, T* y, int64_t n, const F& f) {
  const RowFloat d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) StoreFloat(f(LoadFloat(d, x + i), i, lanes), d, y + i);
  if (i < n) StoreTail(f(LoadTail(x + i, n - i, 0), i, n - i), y + i, n - i);
}

template <class T>
void SoftmaxRows(const T* x, T* y, int64_t rows, int64_t n, bool logarithm) {
  using V = hn::Vec<RowFloat>;
  const RowFloat d;
  constexpr float kLow = -std::numeric_limits<float>::infinity();
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    const V top =
        FoldRow(x, n, hn::Set(d, kLow), kLow, [](V a, V b) HWY_ATTR { return hn::Max(a, b); });
    const V max = hn::Set(d, hn::GetLane(hn::MaxOfLanes(d, top)));
    const V sums = FoldRow(x, n, hn::Zero(d), kLow, [&](V a, V b) HWY_ATTR {
      return hn::Add(a, ExpOf(d, hn::Max(hn::Sub(b, max), hn::Set(d, -120.0f))));
    });
    const float sum = hn::GetLane(hn::SumOfLanes(d, sums));
    if (logarithm) {
      const V shift = hn::Add(max, hn::Set(d, std::log(sum)));
      MapRow(x, y, n, [&](V v, int64_t, int64_t) HWY_ATTR { return hn::Sub(v, shift); });
      continue;
    }
    const V by = hn::Set(d, 1 / sum);
    MapRow(x, y, n, [&](V v, int64_t, int64_t) HWY_ATTR {
      return hn::Mul(ExpOf(d, hn::Max(hn::Sub(v, max), hn::Set(d, -120.0f))), by);
    });
  }
}

template <class T>
void RowMoments(const T* x, int64_t n, float* mean, float* variance) {
  using V = hn::Vec<RowFloat>;
  const RowFloat d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const V sums = FoldRow(x, n, hn::Zero(d), 0, [](V a, V b) HWY_ATTR { return hn::Add(a, b); });
  const float m = hn::GetLane(hn::SumOfLanes(d, sums)) / static_cast<float>(n);
  const V centre = hn::Set(d, m);
  const V squares = FoldRow(x, n, hn::Zero(d), m, [&](V a, V b) HWY_ATTR {
    const V v = hn::Sub(b, centre);
    return hn::MulAdd(v, v, a);
  });
  (void)lanes;
  *mean = m;
  *variance = hn::GetLane(hn::SumOfLanes(d, squares)) / static_cast<float>(n);
}

template <class T>
void NormalizeRows(const T* x, const float* weight, const float* bias, T* y, int64_t rows,
                   int64_t n, float eps, bool rms) {
  using V = hn::Vec<RowFloat>;
  const RowFloat d;
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    float mean = 0, variance = 0;
    if (rms) {
      const V squares =
          FoldRow(x, n, hn::Zero(d), 0, [](V a, V b) HWY_ATTR { return hn::MulAdd(b, b, a); });
      variance = hn::GetLane(hn::SumOfLanes(d, squares)) / static_cast<float>(n);
    } else {
      RowMoments(x, n, &mean, &variance);
    }
    const V by = hn::Set(d, 1 / std::sqrt(variance + eps)), centre = hn::Set(d, mean);
    MapRow(x, y, n, [&](V v, int64_t i, int64_t count) HWY_ATTR {
      v = hn::Mul(hn::Sub(v, centre), by);
      const bool whole = count == static_cast<int64_t>(hn::Lanes(d));
      if (weight) v = hn::Mul(v, whole ? hn::LoadU(d, weight + i) : LoadTail(weight + i, count, 0));
      if (bias) v = hn::Add(v, whole ? hn::LoadU(d, bias + i) : LoadTail(bias + i, count, 0));
      return v;
    });
  }
}

template <class T, class F>
HWY_INLINE void ReduceWith(const T* x, T* y, int64_t n, int64_t inner, float start, float factor,
                           const F& f) {
  using V = hn::Vec<RowFloat>;
  const RowFloat d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const V by = hn::Set(d, factor);
  int64_t i = 0;
  for (; i + lanes <= inner; i += lanes) {
    V state = hn::Set(d, start);
    for (int64_t r = 0; r < n; ++r) state = f(state, LoadFloat(d, x + r * inner + i));
    StoreFloat(hn::Mul(state, by), d, y + i);
  }
  if (i == inner) return;
  V state = hn::Set(d, start);
  for (int64_t r = 0; r < n; ++r) state = f(state, LoadTail(x + r * inner + i, inner - i, 0));
  StoreTail(hn::Mul(state, by), y + i, inner - i);
}

template <class T, class F>
HWY_INLINE void ReduceRow(const T* x, T* y, int64_t n, float start, float factor, const F& f) {
  const RowFloat d;
  HWY_ALIGN float lane[hn::MaxLanes(RowFloat())];
  hn::Store(FoldRow(x, n, hn::Set(d, start), start, f), d, lane);
  const hn::CappedTag<float, 1> one;
  auto v = hn::Set(d, lane[0]);
  for (size_t i = 1; i < hn::Lanes(d); ++i) v = f(v, hn::Set(d, lane[i]));
  StoreFloat(hn::Set(one, hn::GetLane(v) * factor), one, y);
}

template <class T>
void ReduceColumns(Sum kind, const T* x, T* y, int64_t n, int64_t inner) {
  using V = hn::Vec<RowFloat>;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto reduce = [&](float start, float factor, auto f) HWY_ATTR {
    if (inner == 1) return ReduceRow(x, y, n, start, factor, f);
    ReduceWith(x, y, n, inner, start, factor, f);
  };
  const auto add = [](V a, V b) HWY_ATTR { return hn::Add(a, b); };
  switch (kind) {
    case Sum::sum: return reduce(0, 1, add);
    case Sum::mean: return reduce(0, 1 / static_cast<float>(n), add);
    case Sum::max: return reduce(-kInfinity, 1, [](V a, V b) HWY_ATTR { return hn::Max(a, b); });
    case Sum::min: return reduce(kInfinity, 1, [](V a, V b) HWY_ATTR { return hn::Min(a, b); });
  }
}

#define RESIDUA_ROW_KERNELS(T, Name)                                                           \
  void Softmax##Name(const T* x, T* y, int64_t rows, int64_t n, bool logarithm) {              \
    SoftmaxRows(x, y, rows, n, logarithm);                                                     \
  }                                                                                            \
  void Normalize##Name(const T* x, const float* weight, const float* bias, T* y, int64_t rows, \
                       int64_t n, float eps, bool rms) {                                       \
    NormalizeRows(x, weight, bias, y, rows, n, eps, rms);                                      \
  }                                                                                            \
  void Moments##Name(const T* x, int64_t n, float* mean, float* variance) {                    \
    RowMoments(x, n, mean, variance);                                                          \
  }                                                                                            \
  void Reduce##Name(Sum kind, const T* x, T* y, int64_t n, int64_t inner) {                    \
    ReduceColumns(kind, x, y, n, inner);                                                       \
  }
RESIDUA_ROW_KERNELS(float, Float)
RESIDUA_ROW_KERNELS(Bf16, Bf16)
#undef RESIDUA_ROW_KERNELS

}  // namespace HWY_NAMESPACE
}  // namespace residua::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace residua::kernels {

#define RESIDUA_ROW_KERNELS(T, Name)                                                          \
  HWY_EXPORT(Softmax##Name);                                                                  \
  HWY_EXPORT(Normalize##Name);                                                                \
  HWY_EXPORT(Moments##Name);                                                                  \
  HWY_EXPORT(Reduce##Name);                                                                   \
  template <>                                                                                 \
  void softmax_rows(const T* x, T* y, int64_t rows, int64_t n, bool logarithm) {              \
    HWY_DYNAMIC_DISPATCH(Softmax##Name)(x, y, rows, n, logarithm);                            \
  }                                                                                           \
  template <>                                                                                 \
  void normalize_rows(const T* x, const float* weight, const float* bias, T* y, int64_t rows, \
                      int64_t n, float eps, bool rms) {                                       \
    HWY_DYNAMIC_DISPATCH(Normalize##Name)(x, weight, bias, y, rows, n, eps, rms);             \
  }                                                                                           \
  template <>                                                                                 \
  void row_moments(const T* x, int64_t n, float* mean, float* variance) {                     \
    HWY_DYNAMIC_DISPATCH(Moments##Name)(x, n, mean, variance);                                \
  }                                                                                           \
  template <>                                                                                 \
  void reduce_columns(Sum kind, const T* x, T* y, int64_t n, int64_t inner) {                 \
    HWY_DYNAMIC_DISPATCH(Reduce##Name)(kind, x, y, n, inner);                                 \
  }
RESIDUA_ROW_KERNELS(float, Float)
RESIDUA_ROW_KERNELS(Bf16, Bf16)
#undef RESIDUA_ROW_KERNELS

}  // namespace residua::kernels
#endif  // HWY_ONCE
