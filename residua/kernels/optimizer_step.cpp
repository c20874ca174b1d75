#include "residua/kernels/optimizer_step.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "residua/kernels/optimizer_step.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace residua::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Calls body(tag, index) for whole vectors, then for the remaining elements one by one. Both run
// the same operations, fused multiply-add included, so rounding does not depend on an element's
// place.
template <class Body>
HWY_INLINE void for_each_vector(int64_t n, const Body& body) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) body(d, i);
  const hn::CappedTag<float, 1> one;
  for (; i < n; ++i) body(one, i);
}

template <bool kMomentum, bool kNesterov>
void SgdStepWith(float* HWY_RESTRICT parameter, const float* HWY_RESTRICT gradient,
                 float* HWY_RESTRICT buffer, int64_t n, const SgdStep& step) {
  const float momentum = step.first ? 0.0f : step.momentum,
              fresh = step.first ? 1.0f : 1 - step.dampening;
  for_each_vector(n, [&](auto d, int64_t i) HWY_ATTR {
    auto p = hn::LoadU(d, parameter + i);
    auto move = hn::MulAdd(hn::Set(d, step.weight_decay), p, hn::LoadU(d, gradient + i));
    if constexpr (kMomentum) {
      const auto old = step.first ? hn::Zero(d) : hn::LoadU(d, buffer + i);
      const auto b = hn::MulAdd(hn::Set(d, momentum), old, hn::Mul(hn::Set(d, fresh), move));
      hn::StoreU(b, d, buffer + i);
      move = kNesterov ? hn::MulAdd(hn::Set(d, step.momentum), b, move) : b;
    }
    hn::StoreU(hn::NegMulAdd(hn::Set(d, step.lr), move, p), d, parameter + i);
  });
}

void SgdStepAll(float* parameter, const float* gradient, float* buffer, int64_t n,
                const SgdStep& step) {
  if (step.momentum == 0) return SgdStepWith<false, false>(parameter, gradient, buffer, n, step);
  if (step.nesterov) return SgdStepWith<true, true>(parameter, gradient, buffer, n, step);
  SgdStepWith<true, false>(parameter, gradient, buffer, n, step);
}

void AdamWStepAll(float* HWY_RESTRICT parameter, const float* HWY_RESTRICT gradient,
                  float* HWY_RESTRICT mean, float* HWY_RESTRICT square, int64_t n,
                  const AdamWStep& step) {
  for_each_vector(n, [&](auto d, int64_t i) HWY_ATTR {
    const auto g = hn::LoadU(d, gradient + i);
    const auto p = hn::Mul(hn::LoadU(d, parameter + i), hn::Set(d, step.keep));
    const auto m = hn::MulAdd(hn::Set(d, step.beta1), hn::LoadU(d, mean + i),
                              hn::Mul(hn::Set(d, step.fresh1), g));
    const auto v = hn::MulAdd(hn::Set(d, step.beta2), hn::LoadU(d, square + i),
                              hn::Mul(hn::Set(d, step.fresh2), hn::Mul(g, g)));
    hn::StoreU(m, d, mean + i);
    hn::StoreU(v, d, square + i);
    const auto root = hn::Div(hn::Sqrt(v), hn::Set(d, step.correction2_sqrt));
    const auto move = hn::Div(m, hn::Add(root, hn::Set(d, step.eps)));
    hn::StoreU(hn::NegMulAdd(hn::Set(d, step.step_size), move, p), d, parameter + i);
  });
}

// Float lanes hold at most 64 terms each before they go to double.
double SumOfSquaresAll(const float* values, int64_t n) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  double total = 0;
  int64_t i = 0;
  while (i + lanes <= n) {
    auto sum = hn::Zero(d);
    const int64_t end = std::min(n - lanes, i + 63 * lanes);
    for (; i <= end; i += lanes) {
      const auto v = hn::LoadU(d, values + i);
      sum = hn::MulAdd(v, v, sum);
    }
    total += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, sum)));
  }
  for (; i < n; ++i) total += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return total;
}

}  // namespace HWY_NAMESPACE
}  // namespace residua::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace residua::kernels {

HWY_EXPORT(SgdStepAll);
HWY_EXPORT(AdamWStepAll);
HWY_EXPORT(SumOfSquaresAll);

void sgd_step(float* parameter, const float* gradient, float* buffer, int64_t n,
              const SgdStep& step) {
  HWY_DYNAMIC_DISPATCH(SgdStepAll)(parameter, gradient, buffer, n, step);
}

void adamw_step(float* parameter, const float* gradient, float* mean, float* square, int64_t n,
                const AdamWStep& step) {
  HWY_DYNAMIC_DISPATCH(AdamWStepAll)(parameter, gradient, mean, square, n, step);
}

double sum_of_squares(const float* values, int64_t n) {
  return HWY_DYNAMIC_DISPATCH(SumOfSquaresAll)(values, n);
}

}  // namespace residua::kernels
#endif  // HWY_ONCE
