#pragma once
// Graphs beside tensors.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstring>

#include "residua/graph/interpreter.h"
#include "residua/runtime/compiled_model.h"

namespace residua {

// The first output of a graph of one input.
inline at::Tensor interpret_tensor(const Graph& graph, const at::Tensor& x) {
  const at::Tensor flat = x.to(at::kDouble).contiguous();
  Numbers input{.type = graph.value(graph.inputs.front()).type, .data = {}};
  input.data.assign(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel());
  const Numbers y = interpret(graph, std::span(&input, 1)).front();
  return torch::tensor(y.data, at::kDouble).reshape(y.type.shape);
}

// Images or ids, as compiled models take them.
inline TensorData tensor_data(const at::Tensor& x) {
  auto data = std::make_shared<at::Tensor>(x.contiguous());
  return {.info = {"x", x.scalar_type() == at::kLong ? DType::i64 : DType::f32, x.sizes().vec()},
          .owner = data,
          .bytes = {static_cast<const std::byte*>(data->data_ptr()), data->nbytes()}};
}

inline at::Tensor run_compiled(CompiledModel& model, const at::Tensor& x) {
  const TensorData input = tensor_data(x);
  const std::vector<TensorData> outputs = model.run({&input, 1});
  const at::Tensor y = at::empty(outputs.front().info.shape);
  std::memcpy(y.data_ptr(), outputs.front().bytes.data(), outputs.front().bytes.size());
  return y.to(at::kDouble);
}

// Of the largest difference to the largest number.
inline double largest_error(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  const double scale = std::max(b.abs().max().item<double>(), 1e-3);
  return (a - b.to(at::kDouble)).abs().max().item<double>() / scale;
}

// Of the root mean squares of difference and numbers.
inline double mean_error(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return (a - b.to(at::kDouble)).norm().item<double>() / std::max(b.norm().item<double>(), 1e-3);
}

}  // namespace residua
