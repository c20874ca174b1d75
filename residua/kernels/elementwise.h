#pragma once
// Functions of single numbers and of pairs, over arrays in float32 or bfloat16 (computed in
// float32). Each call runs on its own thread alone. `y` may be `x`.

#include <cstdint>

#include "residua/kernels/bfloat16.h"

namespace residua::kernels {

// As PyTorch defines them; exp, erf and tanh are within some units of the last place of float32.
enum class Function {
  none,
  relu,
  leaky_relu,  // slope alpha
  elu,         // alpha
  selu,
  gelu,
  gelu_tanh,
  silu,
  sigmoid,
  hard_sigmoid,
  hard_swish,
  tanh,
  softplus,  // beta
  mish,
  clamp,  // to [alpha, beta]
  exp,
  log,
  log1p,
  sqrt,
  rsqrt,
  square,
  reciprocal,
  negate,
  absolute,
  sign,
  floor,
  ceil,
  round,  // ties to even
  sin,
  cos,
  erf,
  logical_not
};

struct FunctionCall {
  Function function = Function::none;
  float alpha = 0, beta = 0;
};

template <class T>
void apply_function(const FunctionCall& call, const T* x, T* y, int64_t n);

enum class Pair { add, subtract, multiply, divide, minimum, maximum };

// y[i] = f(a[i] op b[i % period]), or f(b[i % period] op a[i]) when `swapped`; n is a multiple of
// the period, and y may be a.
template <class T>
void combine(Pair op, bool swapped, const FunctionCall& after, const T* a, const T* b, T* y,
             int64_t n, int64_t period);

// y[i] = f(x[i] scale[i % period] + shift[i % period]).
template <class T>
void scale_and_shift(const FunctionCall& after, const T* x, const float* scale, const float* shift,
                     T* y, int64_t n, int64_t period);

// The same to integers: y[i] = round(f(...) factor), ties to even, saturated.
template <class Integer>
void scale_and_shift_to(const FunctionCall& after, const float* x, const float* scale,
                        const float* shift, float factor, Integer* y, int64_t n, int64_t period);

}  // namespace residua::kernels
