#pragma once
// Graphs beside tensors.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/graph/interpreter.h"

namespace residua {

// The first output of a graph of one input.
inline at::Tensor interpret_tensor(const Graph& graph, const at::Tensor& x) {
  const at::Tensor flat = x.to(at::kDouble).contiguous();
  Numbers input{.type = graph.value(graph.inputs.front()).type, .data = {}};
  input.data.assign(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel());
  const Numbers y = interpret(graph, std::span(&input, 1)).front();
  return torch::tensor(y.data, at::kDouble).reshape(y.type.shape);
}

// Relative to the largest number.
inline void expect_near(const at::Tensor& a, const at::Tensor& b, double tolerance) {
  ASSERT_EQ(a.sizes(), b.sizes());
  const double scale = b.abs().max().item<double>();
  EXPECT_LE((a - b.to(at::kDouble)).abs().max().item<double>(), tolerance * std::max(scale, 1e-3));
}

}  // namespace residua
