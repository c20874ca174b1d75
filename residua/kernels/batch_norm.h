#pragma once
// Batch normalisation with the addition and ReLU that follow it, over a matrix of `rows` x
// `channels` whose rows lie one after the other (an image batch in channels-last order has rows = N
// * H * W). T is float or Bf16; statistics and coefficients are float32, sums are accumulated in
// float32 over some hundred rows and in double beyond. Each call runs on its own thread alone:
// callers cut the rows into blocks.
//
// With m the mean, s = 1 / sqrt(variance + eps), g the gradient of the output where it passed the
// ReLU, and M rows:
//   y  = max(0, x * (w s) + (b - m w s) + r)
//   db = sum g,  dw = s * sum g (x - m),  dr = g
//   dx = w s (g - (sum g) / M - (x - m) s^2 (sum g (x - m)) / M)

#include <cstdint>

#include "residua/kernels/bfloat16.h"

namespace residua::kernels {

// sum[c] += sum over rows of (x - pivot[c]), square[c] += the same of (x - pivot[c])^2. A pivot
// near the column's mean keeps the variance from cancelling; any of the column's values will do.
template <class T>
void column_moments(const T* x, int64_t rows, int64_t channels, const float* pivot, double* sum,
                    double* square);

// y = act(x * scale[c] + shift[c] + residual); `residual` may be null, y may be x.
template <class T>
void scale_shift(const T* x, const T* residual, T* y, int64_t rows, int64_t channels,
                 const float* scale, const float* shift, bool relu);

// How to know where the output passed the ReLU.
enum class ReluKind {
  none,       // there was no ReLU
  recompute,  // from x * scale[c] + shift[c], when nothing was added
  output,     // from y
};

template <class T>
struct ReluMask {
  ReluKind kind = ReluKind::none;
  const T* y = nullptr;
  const float* scale = nullptr;
  const float* shift = nullptr;
};

// sum[c] += sum of g, product[c] += sum of g * (x - mean[c]). Writes g to `masked` unless it is
// null.
template <class T>
void batch_norm_backward_sums(const T* dy, const T* x, T* masked, int64_t rows, int64_t channels,
                              const float* mean, const ReluMask<T>& mask, double* sum,
                              double* product);

// dx = by_g[c] * g + by_x[c] * (x - mean[c]) + constant[c].
struct BackwardCoefficients {
  const float* by_g;
  const float* by_x;
  const float* constant;
};
template <class T>
void batch_norm_backward_input(const T* dy, const T* x, T* dx, int64_t rows, int64_t channels,
                               const float* mean, const ReluMask<T>& mask,
                               const BackwardCoefficients& coefficients);

}  // namespace residua::kernels
