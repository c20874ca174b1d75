#pragma once
// Optimiser steps in one pass over memory: every element of parameter, gradient and state is read
// once and written once. The arrays have `n` elements, must not overlap, and need no alignment. An
// element's result does not depend on `n`, so an array may be cut anywhere and its parts stepped by
// different threads.

#include <cstdint>

namespace residua::kernels {

struct SgdStep {
  float lr = 0;
  float momentum = 0;
  float dampening = 0;
  float weight_decay = 0;
  bool nesterov = false;
  bool first = false;  // the momentum buffer is to be set, not updated
};

// `buffer` may be null when momentum is 0.
void sgd_step(float* parameter, const float* gradient, float* buffer, int64_t n,
              const SgdStep& step);

struct AdamWStep {
  float keep = 1;               // 1 - lr * weight_decay
  float beta1 = 0, fresh1 = 1;  // fresh = 1 - beta, rounded once
  float beta2 = 0, fresh2 = 1;
  float step_size = 0;         // lr / (1 - beta1^t)
  float correction2_sqrt = 1;  // sqrt(1 - beta2^t)
  float eps = 0;
};

void adamw_step(float* parameter, const float* gradient, float* mean, float* square, int64_t n,
                const AdamWStep& step);

// Sum of squares, accumulated in double precision over short runs of float sums.
double sum_of_squares(const float* values, int64_t n);

}  // namespace residua::kernels
