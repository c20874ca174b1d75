#pragma once
// What autograd's graph ends in.

#include <ATen/core/Tensor.h>

#include <vector>

namespace residua {

// The tensors (parameters, as a rule) whose gradients a backward from `roots` would accumulate.
std::vector<at::Tensor> graph_leaves(const std::vector<at::Tensor>& roots);

}  // namespace residua
