#pragma once
// Layers whose filters are orthonormal. A weight [out, ...] is read as `out` filters of fan_in
// numbers each; more filters than fan_in are split, in their order, into the fewest groups of at
// most fan_in, and only those of one group are orthogonal to each other.

#include <ATen/core/Tensor.h>

#include <vector>

#include "residua/core/random.h"

namespace residua {

// The groups [filters, fan_in], views of the weight where its memory allows.
std::vector<at::Tensor> filter_groups(const at::Tensor& weight);

// Filters of norm `gain`, by the QR decomposition of normal numbers.
void fill_orthonormal(const at::Tensor& weight, double gain, const Random& random);

// Sum over the groups of |W W^T - I|_F^2, differentiable.
at::Tensor orthonormality_error(const at::Tensor& weight);

// The orthonormal weight nearest to this one: U V^T of its singular value decomposition.
at::Tensor nearest_orthonormal(const at::Tensor& weight);

}  // namespace residua
