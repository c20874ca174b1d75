#pragma once
// The mixing of n streams by a small matrix for each token, in one pass over memory.

#include <ATen/core/Tensor.h>

#include <utility>

namespace residua {

// streams [..., n, d] and alpha [..., n, 1 + n], whose column o says how much of each stream goes
// to output o: out_o = sum_i alpha_io stream_i. Returns out_0 [..., d] and out_1 ... out_n
// [..., n, d]. Differentiable once where it runs in one pass (float32 or float64 on the CPU);
// `one_pass` false, and all other types, use libtorch's operations.
std::pair<at::Tensor, at::Tensor> hyper_mix(const at::Tensor& streams, const at::Tensor& alpha,
                                            bool one_pass = true);

}  // namespace residua
