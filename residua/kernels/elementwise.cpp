#include "residua/kernels/elementwise.h"

#include <algorithm>

// One target of each width is enough, and the functions take long to compile.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "residua/kernels/elementwise.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "residua/kernels/bfloat16-inl.h"
#include "residua/kernels/functions-inl.h"

HWY_BEFORE_NAMESPACE();
namespace residua::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using WideFloat = hn::ScalableTag<float>;
constexpr int64_t kPiece = 512;  // numbers that are brought to float32 at a time

// Arrays are taken in pieces that lie in the nearest cache as float32, filled up to whole vectors.
template <class T>
HWY_INLINE void LoadPiece(const T* x, float* HWY_RESTRICT piece, int64_t n) {
  const WideFloat d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::Store(LoadFloat(d, x + i), d, piece + i);
  if (i == n) return;
  hn::Store(hn::Set(d, 1.0f), d, piece + i);
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) hn::StoreU(LoadFloat(one, x + i), one, piece + i);
}

template <class T>
HWY_INLINE void StorePiece(const float* HWY_RESTRICT piece, T* y, int64_t n) {
  const WideFloat d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) StoreFloat(hn::Load(d, piece + i), d, y + i);
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) StoreFloat(hn::LoadU(one, piece + i), one, y + i);
}

// Integers round(v factor), ties to even, saturated.
template <class Integer>
HWY_INLINE hn::Vec<hn::Rebind<Integer, WideFloat>> RoundedVector(hn::Vec<WideFloat> v,
                                                                 float factor) {
  const WideFloat d;
  const auto limit = hn::Set(d, 512.0f);  // beyond both types
  const auto scaled = hn::Max(hn::Min(hn::Mul(v, hn::Set(d, factor)), limit), hn::Neg(limit));
  return hn::DemoteTo(hn::Rebind<Integer, WideFloat>(), hn::NearestInt(scaled));
}

template <class Integer>
HWY_INLINE void RoundPiece(const float* HWY_RESTRICT piece, float factor, Integer* y, int64_t n) {
  const WideFloat d;
  const hn::Rebind<Integer, WideFloat> di;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    hn::StoreU(RoundedVector<Integer>(hn::Load(d, piece + i), factor), di, y + i);
  if (i == n) return;
  HWY_ALIGN Integer rest[hn::MaxLanes(WideFloat())];
  hn::StoreU(RoundedVector<Integer>(hn::Load(d, piece + i), factor), di, rest);
  for (int64_t k = 0; i + k < n; ++k) y[i + k] = rest[k];
}

void FunctionOfPiece(const FunctionCall& call, float* HWY_RESTRICT piece, int64_t n) {
  const WideFloat d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  WithFunction(d, call, [&](auto f) HWY_ATTR {
    for (int64_t i = 0; i < n; i += lanes) hn::Store(f(hn::Load(d, piece + i)), d, piece + i);
  });
}

template <class T>
void ApplyFunction(const FunctionCall& call, const T* x, T* y, int64_t n) {
  HWY_ALIGN float piece[kPiece];
  for (int64_t i = 0; i < n; i += kPiece) {
    const int64_t count = std::min(kPiece, n - i);
    LoadPiece(x + i, piece, count);
    FunctionOfPiece(call, piece, count);
    StorePiece(piece, y + i, count);
  }
}

template <class F>
HWY_INLINE void PairOfPieces(float* HWY_RESTRICT a, const float* HWY_RESTRICT b, int64_t n, F f) {
  const WideFloat d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < n; i += lanes)
    hn::Store(f(hn::Load(d, a + i), hn::Load(d, b + i)), d, a + i);
}

void CombinePieces(Pair op, bool swapped, float* a, const float* b, int64_t n) {
  using V = hn::Vec<WideFloat>;
  switch (op) {
    case Pair::add: return PairOfPieces(a, b, n, [](V u, V v) HWY_ATTR { return hn::Add(u, v); });
    case Pair::subtract:
      if (swapped) return PairOfPieces(a, b, n, [](V u, V v) HWY_ATTR { return hn::Sub(v, u); });
      return PairOfPieces(a, b, n, [](V u, V v) HWY_ATTR { return hn::Sub(u, v); });
    case Pair::multiply:
      return PairOfPieces(a, b, n, [](V u, V v) HWY_ATTR { return hn::Mul(u, v); });
    case Pair::divide:
      if (swapped) return PairOfPieces(a, b, n, [](V u, V v) HWY_ATTR { return hn::Div(v, u); });
      return PairOfPieces(a, b, n, [](V u, V v) HWY_ATTR { return hn::Div(u, v); });
    case Pair::minimum:
      return PairOfPieces(a, b, n, [](V u, V v) HWY_ATTR { return hn::Min(u, v); });
    case Pair::maximum:
      return PairOfPieces(a, b, n, [](V u, V v) HWY_ATTR { return hn::Max(u, v); });
  }
}

// Calls body(place in the array, place in the period, count); short periods are repeated into one
// piece, so `count` numbers of it fit any place that is a multiple of the period.
template <class Body>
HWY_INLINE void ForPeriods(int64_t n, int64_t period, const Body& body) {
  if (period < kPiece) {
    const int64_t step = kPiece / period * period;
    for (int64_t i = 0; i < n; i += step) body(i, int64_t{0}, std::min(step, n - i));
    return;
  }
  for (int64_t i = 0; i < n; i += period)
    for (int64_t j = 0; j < period; j += kPiece) body(i + j, j, std::min(kPiece, period - j));
}

template <class T>
void RepeatIntoPiece(const T* b, int64_t period, float* HWY_RESTRICT piece) {
  LoadPiece(b, piece, period);
  for (int64_t i = period; i < kPiece; ++i) piece[i] = piece[i - period];
}

template <class T>
void CombineAll(Pair op, bool swapped, const FunctionCall& after, const T* a, const T* b, T* y,
                int64_t n, int64_t period) {
  HWY_ALIGN float left[kPiece], right[kPiece];
  if (period < kPiece) RepeatIntoPiece(b, period, right);
  ForPeriods(n, period, [&](int64_t i, int64_t j, int64_t count) HWY_ATTR {
    LoadPiece(a + i, left, count);
    if (period >= kPiece) LoadPiece(b + j, right, count);
    CombinePieces(op, swapped, left, right, count);
    if (after.function != Function::none) FunctionOfPiece(after, left, count);
    StorePiece(left, y + i, count);
  });
}

// Where the numbers of a scaled array go: whole vectors, and the rest from a piece.
template <class T>
struct RealTarget {
  T* y;
  HWY_INLINE void Vector(hn::Vec<WideFloat> v, int64_t at) const {
    StoreFloat(v, WideFloat(), y + at);
  }
  HWY_INLINE void Piece(const float* piece, int64_t at, int64_t n) const {
    StorePiece(piece, y + at, n);
  }
};
template <class Integer>
struct RoundedTarget {
  Integer* y;
  float factor;
  HWY_INLINE void Vector(hn::Vec<WideFloat> v, int64_t at) const {
    const hn::Rebind<Integer, WideFloat> di;
    hn::StoreU(RoundedVector<Integer>(v, factor), di, y + at);
  }
  HWY_INLINE void Piece(const float* piece, int64_t at, int64_t n) const {
    RoundPiece(piece, factor, y + at, n);
  }
};

// y = f(x by + plus) for one piece, in one pass.
template <class T, class Target, class F>
HWY_INLINE void ScalePiece(const T* x, const float* HWY_RESTRICT by, const float* HWY_RESTRICT plus,
                           const Target& target, int64_t at, int64_t n, const F& f) {
  const WideFloat d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t k = 0;
  for (; k + lanes <= n; k += lanes)
    target.Vector(
        f(hn::MulAdd(LoadFloat(d, x + at + k), hn::Load(d, by + k), hn::Load(d, plus + k))),
        at + k);
  if (k == n) return;
  HWY_ALIGN float rest[hn::MaxLanes(WideFloat())];
  LoadPiece(x + at + k, rest, n - k);
  hn::Store(f(hn::MulAdd(hn::Load(d, rest), hn::Load(d, by + k), hn::Load(d, plus + k))), d, rest);
  target.Piece(rest, at + k, n - k);
}

template <class T, class Target>
HWY_INLINE void ScaleAndShift(const FunctionCall& after, const T* x, const float* scale,
                              const float* shift, int64_t n, int64_t period, const Target& target) {
  using V = hn::Vec<WideFloat>;
  HWY_ALIGN float piece[kPiece], by[kPiece], plus[kPiece];
  if (period < kPiece) RepeatIntoPiece(scale, period, by), RepeatIntoPiece(shift, period, plus);
  const WideFloat d;
  const auto zero = hn::Zero(d), low = hn::Set(d, after.alpha), high = hn::Set(d, after.beta);
  ForPeriods(n, period, [&](int64_t i, int64_t j, int64_t count) HWY_ATTR {
    if (period >= kPiece) LoadPiece(scale + j, by, count), LoadPiece(shift + j, plus, count);
    switch (after.function) {
      case Function::none:
        return ScalePiece(x, by, plus, target, i, count, [](V v) HWY_ATTR { return v; });
      case Function::relu:
        return ScalePiece(x, by, plus, target, i, count,
                          [=](V v) HWY_ATTR { return hn::IfThenZeroElse(hn::Lt(v, zero), v); });
      case Function::clamp:
        return ScalePiece(x, by, plus, target, i, count,
                          [=](V v) HWY_ATTR { return hn::Min(hn::Max(v, low), high); });
      default:
        ScalePiece(x + i, by, plus, RealTarget<float>{piece}, 0, count,
                   [](V v) HWY_ATTR { return v; });
        FunctionOfPiece(after, piece, count);
        target.Piece(piece, i, count);
    }
  });
}

void ApplyFloat(const FunctionCall& c, const float* x, float* y, int64_t n) {
  ApplyFunction(c, x, y, n);
}
void ApplyBf16(const FunctionCall& c, const Bf16* x, Bf16* y, int64_t n) {
  ApplyFunction(c, x, y, n);
}
void CombineFloat(Pair op, bool swapped, const FunctionCall& after, const float* a, const float* b,
                  float* y, int64_t n, int64_t period) {
  CombineAll(op, swapped, after, a, b, y, n, period);
}
void CombineBf16(Pair op, bool swapped, const FunctionCall& after, const Bf16* a, const Bf16* b,
                 Bf16* y, int64_t n, int64_t period) {
  CombineAll(op, swapped, after, a, b, y, n, period);
}
void ScaleFloat(const FunctionCall& after, const float* x, const float* scale, const float* shift,
                float* y, int64_t n, int64_t period) {
  ScaleAndShift(after, x, scale, shift, n, period, RealTarget<float>{y});
}
void ScaleBf16(const FunctionCall& after, const Bf16* x, const float* scale, const float* shift,
               Bf16* y, int64_t n, int64_t period) {
  ScaleAndShift(after, x, scale, shift, n, period, RealTarget<Bf16>{y});
}
void ScaleU8(const FunctionCall& after, const float* x, const float* scale, const float* shift,
             float factor, uint8_t* y, int64_t n, int64_t period) {
  ScaleAndShift(after, x, scale, shift, n, period, RoundedTarget<uint8_t>{y, factor});
}
void ScaleI8(const FunctionCall& after, const float* x, const float* scale, const float* shift,
             float factor, int8_t* y, int64_t n, int64_t period) {
  ScaleAndShift(after, x, scale, shift, n, period, RoundedTarget<int8_t>{y, factor});
}

}  // namespace HWY_NAMESPACE
}  // namespace residua::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace residua::kernels {

HWY_EXPORT(ApplyFloat);
HWY_EXPORT(ApplyBf16);
HWY_EXPORT(CombineFloat);
HWY_EXPORT(CombineBf16);
HWY_EXPORT(ScaleFloat);
HWY_EXPORT(ScaleBf16);
HWY_EXPORT(ScaleU8);
HWY_EXPORT(ScaleI8);

template <>
void apply_function(const FunctionCall& call, const float* x, float* y, int64_t n) {
  HWY_DYNAMIC_DISPATCH(ApplyFloat)(call, x, y, n);
}
template <>
void apply_function(const FunctionCall& call, const Bf16* x, Bf16* y, int64_t n) {
  HWY_DYNAMIC_DISPATCH(ApplyBf16)(call, x, y, n);
}
template <>
void combine(Pair op, bool swapped, const FunctionCall& after, const float* a, const float* b,
             float* y, int64_t n, int64_t period) {
  HWY_DYNAMIC_DISPATCH(CombineFloat)(op, swapped, after, a, b, y, n, period);
}
template <>
void combine(Pair op, bool swapped, const FunctionCall& after, const Bf16* a, const Bf16* b,
             Bf16* y, int64_t n, int64_t period) {
  HWY_DYNAMIC_DISPATCH(CombineBf16)(op, swapped, after, a, b, y, n, period);
}
template <>
void scale_and_shift(const FunctionCall& after, const float* x, const float* scale,
                     const float* shift, float* y, int64_t n, int64_t period) {
  HWY_DYNAMIC_DISPATCH(ScaleFloat)(after, x, scale, shift, y, n, period);
}
template <>
void scale_and_shift(const FunctionCall& after, const Bf16* x, const float* scale,
                     const float* shift, Bf16* y, int64_t n, int64_t period) {
  HWY_DYNAMIC_DISPATCH(ScaleBf16)(after, x, scale, shift, y, n, period);
}
template <>
void scale_and_shift_to(const FunctionCall& after, const float* x, const float* scale,
                        const float* shift, float factor, uint8_t* y, int64_t n, int64_t period) {
  HWY_DYNAMIC_DISPATCH(ScaleU8)(after, x, scale, shift, factor, y, n, period);
}
template <>
void scale_and_shift_to(const FunctionCall& after, const float* x, const float* scale,
                        const float* shift, float factor, int8_t* y, int64_t n, int64_t period) {
  HWY_DYNAMIC_DISPATCH(ScaleI8)(after, x, scale, shift, factor, y, n, period);
}

}  // namespace residua::kernels
#endif  // HWY_ONCE
