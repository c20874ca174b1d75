// Functions of float32 vectors. Included once for each target, before HWY_AFTER_NAMESPACE.
#if defined(RESIDUA_KERNELS_FUNCTIONS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef RESIDUA_KERNELS_FUNCTIONS_INL_H_
#undef RESIDUA_KERNELS_FUNCTIONS_INL_H_
#else
#define RESIDUA_KERNELS_FUNCTIONS_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <limits>

#include "residua/kernels/elementwise.h"

HWY_BEFORE_NAMESPACE();
namespace residua::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpOf(D d, V x) {
  const auto big = hn::Gt(x, hn::Set(d, 88.72f));
  const auto y = hn::Exp(d, hn::Min(x, hn::Set(d, 88.72f)));
  return hn::IfThenElse(big, hn::Set(d, std::numeric_limits<float>::infinity()), y);
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V SigmoidOf(D d, V x) {
  const auto one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, ExpOf(d, hn::Neg(x))));
}

// erfc(|x|) = exp(-x^2) t p(t) with t = 1 / (1 + 0.31 |x|): a polynomial through the Chebyshev
// points of |x| <= 4, within 2.5e-9 of the function.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ErfcOfAbs(D d, V size) {
  const auto one = hn::Set(d, 1.0f);
  const auto t = hn::Div(one, hn::MulAdd(hn::Set(d, 0.31f), size, one));
  auto p = hn::Set(d, -0.2294303721f);
  p = hn::MulAdd(p, t, hn::Set(d, 1.046236662f));
  p = hn::MulAdd(p, t, hn::Set(d, -1.42601169f));
  p = hn::MulAdd(p, t, hn::Set(d, 1.476053991f));
  p = hn::MulAdd(p, t, hn::Set(d, -0.585570155f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.4109528218f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.1291728513f));
  p = hn::MulAdd(p, t, hn::Set(d, 0.178595892f));
  return hn::Mul(hn::Mul(p, t), hn::Exp(d, hn::Neg(hn::Mul(size, size))));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V ErfOf(D d, V x) {
  const auto y = hn::Sub(hn::Set(d, 1.0f), ErfcOfAbs(d, hn::Min(hn::Abs(x), hn::Set(d, 8.0f))));
  return hn::IfThenElse(hn::IsNaN(x), x, hn::CopySign(y, x));
}

// x P(X < x): for negative x from erfc itself, so that small results keep their digits.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V GeluOf(D d, V x) {
  const auto half = hn::Set(d, 0.5f);
  const auto size = hn::Min(hn::Mul(hn::Abs(x), hn::Set(d, 0.70710678f)), hn::Set(d, 12.0f));
  const auto tail = hn::Mul(half, ErfcOfAbs(d, size));
  const auto p = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(hn::Set(d, 1.0f), tail));
  return hn::Mul(x, p);
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V SoftplusOf(D d, V x) {  // max(x, 0) + log(1 + exp(-|x|))
  const auto e = hn::Exp(d, hn::Neg(hn::Abs(x)));
  return hn::Add(hn::Max(x, hn::Zero(d)), hn::Log1p(d, e));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V TanhOf(D d, V x) {
  const auto limit = hn::Set(d, 20.0f);
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Tanh(d, hn::Max(hn::Min(x, limit), hn::Neg(limit))));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V GeluTanhOf(D d, V x) {
  const auto cube = hn::Mul(hn::Mul(x, x), x);
  const auto inner = hn::Mul(hn::Set(d, 0.7978845608f), hn::MulAdd(hn::Set(d, 0.044715f), cube, x));
  return hn::Mul(hn::Mul(hn::Set(d, 0.5f), x), hn::Add(hn::Set(d, 1.0f), TanhOf(d, inner)));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V EluOf(D d, V x, V alpha) {
  const auto low = hn::Mul(alpha, hn::Expm1(d, hn::Min(x, hn::Zero(d))));
  return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x, low);
}

// Calls body(f), where f maps a vector, for the function of the call.
template <class D, class Body>
HWY_INLINE void WithFunction(D d, const FunctionCall& call, const Body& body) {
  using V = hn::Vec<D>;
  const auto alpha = hn::Set(d, call.alpha), beta = hn::Set(d, call.beta);
  const auto zero = hn::Zero(d), one = hn::Set(d, 1.0f);
  switch (call.function) {
    case Function::none: return body([](V x) HWY_ATTR { return x; });
    case Function::relu:  // not Max, which drops NaN
      return body([=](V x) HWY_ATTR { return hn::IfThenZeroElse(hn::Lt(x, zero), x); });
    case Function::leaky_relu:
      return body([=](V x)
                      HWY_ATTR { return hn::IfThenElse(hn::Lt(x, zero), hn::Mul(alpha, x), x); });
    case Function::elu: return body([=](V x) HWY_ATTR { return EluOf(d, x, alpha); });
    case Function::selu:
      return body([=](V x) HWY_ATTR {
        return hn::Mul(hn::Set(d, 1.05070099f), EluOf(d, x, hn::Set(d, 1.67326324f)));
      });
    case Function::gelu: return body([=](V x) HWY_ATTR { return GeluOf(d, x); });
    case Function::gelu_tanh: return body([=](V x) HWY_ATTR { return GeluTanhOf(d, x); });
    case Function::silu: return body([=](V x) HWY_ATTR { return hn::Mul(x, SigmoidOf(d, x)); });
    case Function::sigmoid: return body([=](V x) HWY_ATTR { return SigmoidOf(d, x); });
    case Function::hard_sigmoid:
      return body([=](V x) HWY_ATTR {
        const auto y = hn::MulAdd(x, hn::Set(d, 1.0f / 6), hn::Set(d, 0.5f));
        return hn::Min(hn::Max(y, zero), one);
      });
    case Function::hard_swish:
      return body([=](V x) HWY_ATTR {
        const auto y = hn::MulAdd(x, hn::Set(d, 1.0f / 6), hn::Set(d, 0.5f));
        return hn::Mul(x, hn::Min(hn::Max(y, zero), one));
      });
    case Function::tanh: return body([=](V x) HWY_ATTR { return TanhOf(d, x); });
    case Function::softplus:
      return body([=](V x) HWY_ATTR { return hn::Div(SoftplusOf(d, hn::Mul(beta, x)), beta); });
    case Function::mish:
      return body([=](V x) HWY_ATTR { return hn::Mul(x, TanhOf(d, SoftplusOf(d, x))); });
    case Function::clamp:
      return body([=](V x) HWY_ATTR { return hn::Min(hn::Max(x, alpha), beta); });
    case Function::exp: return body([=](V x) HWY_ATTR { return ExpOf(d, x); });
    case Function::log: return body([=](V x) HWY_ATTR { return hn::Log(d, x); });
    case Function::log1p: return body([=](V x) HWY_ATTR { return hn::Log1p(d, x); });
    case Function::sqrt: return body([=](V x) HWY_ATTR { return hn::Sqrt(x); });
    case Function::rsqrt: return body([=](V x) HWY_ATTR { return hn::Div(one, hn::Sqrt(x)); });
    case Function::square: return body([=](V x) HWY_ATTR { return hn::Mul(x, x); });
    case Function::reciprocal: return body([=](V x) HWY_ATTR { return hn::Div(one, x); });
    case Function::negate: return body([=](V x) HWY_ATTR { return hn::Neg(x); });
    case Function::absolute: return body([=](V x) HWY_ATTR { return hn::Abs(x); });
    case Function::sign:
      return body([=](V x) HWY_ATTR {
        return hn::IfThenElse(hn::Eq(x, zero), zero, hn::CopySign(one, x));
      });
    case Function::floor: return body([=](V x) HWY_ATTR { return hn::Floor(x); });
    case Function::ceil: return body([=](V x) HWY_ATTR { return hn::Ceil(x); });
    case Function::round: return body([=](V x) HWY_ATTR { return hn::Round(x); });
    case Function::sin: return body([=](V x) HWY_ATTR { return hn::Sin(d, x); });
    case Function::cos: return body([=](V x) HWY_ATTR { return hn::Cos(d, x); });
    case Function::erf: return body([=](V x) HWY_ATTR { return ErfOf(d, x); });
    case Function::logical_not:
      return body([=](V x) HWY_ATTR { return hn::IfThenElseZero(hn::Eq(x, zero), one); });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace residua::kernels
HWY_AFTER_NAMESPACE();

#endif  // include guard of each target
