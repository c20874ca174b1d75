#pragma once
// Softmax, normalisation and sums of rows that lie behind each other, in float32 or bfloat16
// (computed in float32). Each call runs on its own thread alone; `y` may be `x`.

#include <cstdint>

#include "residua/kernels/bfloat16.h"

namespace residua::kernels {

// exp(x - max) / sum, or its logarithm.
template <class T>
void softmax_rows(const T* x, T* y, int64_t rows, int64_t n, bool logarithm);

// (x - mean) / sqrt(variance + eps) * weight + bias; weight and bias may be null. `rms`: without
// the mean, by the root of the mean square.
template <class T>
void normalize_rows(const T* x, const float* weight, const float* bias, T* y, int64_t rows,
                    int64_t n, float eps, bool rms);

// Mean and variance (divided by n) of one row.
template <class T>
void row_moments(const T* x, int64_t n, float* mean, float* variance);

enum class Sum { sum, mean, max, min };

// y[i] over the `n` values x[r inner + i], for r = 0 .. n - 1.
template <class T>
void reduce_columns(Sum kind, const T* x, T* y, int64_t n, int64_t inner);

}  // namespace residua::kernels
