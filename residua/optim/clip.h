#pragma once
// Gradient clipping: by norm and by value with PyTorch's semantics, and adaptive.

#include <ATen/core/Tensor.h>

#include <vector>

namespace residua {

// Scales all gradients by min(1, max_norm / (norm + 1e-6)), where the norm is the Euclidean norm of
// all of them as one vector. Returns the norm before, which may be infinite or NaN: then the
// gradients are spoiled and the step must not be taken. Parameters without a gradient are passed
// over. Does not depend on the number of threads.
double clip_grad_norm(const std::vector<at::Tensor>& parameters, double max_norm);

// The norm alone.
double grad_norm(const std::vector<at::Tensor>& parameters);

// Clamps every element of every gradient to [-limit, limit].
void clip_grad_value(const std::vector<at::Tensor>& parameters, double limit);

// Adaptive clipping (Brock, De, Smith, Simonyan 2021, arXiv:2102.06171, section 4): for each unit
// i of each parameter, where |g_i| / max(|w_i|, eps) > lambda,
//
//   g_i <- lambda * max(|w_i|, eps) / |g_i| * g_i
//
// A unit is what belongs to one index of dimension 0, e.g. the weights into one output; of a
// parameter with fewer than two dimensions the whole. The authors leave out the classifier. Throws
// ErrorKind::invalid_argument unless lambda and eps are positive.
void clip_agc(const std::vector<at::Tensor>& parameters, double lambda, double eps = 1e-3);

}  // namespace residua
