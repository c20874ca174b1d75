#include "residua/kernels/axis_taps.h"

#include <limits>

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "residua/kernels/axis_taps.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "residua/kernels/bfloat16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace residua::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The numbers x[place inner] of one place's taps, for as many columns as the vector has.
template <class D, class T>
HWY_INLINE hn::Vec<D> TappedVector(D d, const AxisTaps& taps, const T* x, int64_t inner,
                                   int64_t begin, int64_t end) {
  if (!taps.largest) {
    auto sum = hn::Zero(d);
    for (int64_t t = begin; t < end; ++t) {
      const auto k = static_cast<size_t>(t);
      sum = hn::MulAdd(hn::Set(d, taps.weight[k]), LoadFloat(d, x + taps.place[k] * inner), sum);
    }
    return sum;
  }
  auto most = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (int64_t t = begin; t < end; ++t) {
    const auto v = LoadFloat(d, x + taps.place[static_cast<size_t>(t)] * inner);
    most = hn::IfThenElse(hn::Or(hn::Gt(v, most), hn::IsNaN(v)), v, most);  // NaN wins
  }
  return most;
}

template <class T>
void ApplyTaps(const AxisTaps& taps, const T* x, T* y, int64_t inner, int64_t begin, int64_t end) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = begin; i < end; ++i) {
    const int64_t from = taps.first[static_cast<size_t>(i)],
                  to = taps.first[static_cast<size_t>(i) + 1];
    T* row = y + i * inner;
    int64_t j = 0;
    for (; j + lanes <= inner; j += lanes)
      StoreFloat(TappedVector(d, taps, x + j, inner, from, to), d, row + j);
    for (; j < inner; ++j)
      StoreFloat(TappedVector(one, taps, x + j, inner, from, to), one, row + j);
  }
}

void ApplyTapsFloat(const AxisTaps& taps, const float* x, float* y, int64_t inner, int64_t begin,
                    int64_t end) {
  ApplyTaps(taps, x, y, inner, begin, end);
}
void ApplyTapsBf16(const AxisTaps& taps, const Bf16* x, Bf16* y, int64_t inner, int64_t begin,
                   int64_t end) {
  ApplyTaps(taps, x, y, inner, begin, end);
}

}  // namespace HWY_NAMESPACE
}  // namespace residua::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace residua::kernels {

HWY_EXPORT(ApplyTapsFloat);
HWY_EXPORT(ApplyTapsBf16);

template <>
void apply_taps(const AxisTaps& taps, const float* x, float* y, int64_t inner, int64_t begin,
                int64_t end) {
  HWY_DYNAMIC_DISPATCH(ApplyTapsFloat)(taps, x, y, inner, begin, end);
}
template <>
void apply_taps(const AxisTaps& taps, const Bf16* x, Bf16* y, int64_t inner, int64_t begin,
                int64_t end) {
  HWY_DYNAMIC_DISPATCH(ApplyTapsBf16)(taps, x, y, inner, begin, end);
}

}  // namespace residua::kernels
#endif  // HWY_ONCE
