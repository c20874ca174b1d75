#pragma once
// Gradient clipping, with PyTorch's semantics.

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

}  // namespace residua
