#pragma once
// What layers need to know when a part of a network is computed a second time for its gradient:
// what a forward leaves behind, such as running statistics, is left once; and products that were
// kept need not be multiplied out again.

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace residua {

// Whether this thread computes something again. Layers then leave their buffers as they are.
bool recomputing();

// While it lives this thread recomputes. `products`, where given, are handed to the layers that ask
// for them in the order in which they were kept.
class RecomputeScope {
 public:
  explicit RecomputeScope(const std::vector<at::Tensor>* products = nullptr);
  ~RecomputeScope();
  RecomputeScope(const RecomputeScope&) = delete;
  RecomputeScope& operator=(const RecomputeScope&) = delete;

 private:
  bool outer_;
  const std::vector<at::Tensor>* outer_products_;
  size_t outer_next_;
};

// While it lives the outputs of convolutions and linear layers on this thread are kept; null: they
// are not.
class KeepProductsScope {
 public:
  explicit KeepProductsScope(std::vector<at::Tensor>* products);
  ~KeepProductsScope();
  KeepProductsScope(const KeepProductsScope&) = delete;
  KeepProductsScope& operator=(const KeepProductsScope&) = delete;

 private:
  std::vector<at::Tensor>* outer_;
};

// Called by layers whose output is expensive. `again` gives the output's gradient without its
// computation, from the output that was kept.
at::Tensor product(const std::function<at::Tensor()>& compute,
                   const std::function<at::Tensor(const at::Tensor& kept)>& again);

struct ConvShape {
  int64_t stride, padding, dilation, groups;
};

// `output` with the history of conv2d(x, weight, bias).
at::Tensor conv2d_again(const at::Tensor& output, const at::Tensor& x, const at::Tensor& weight,
                        const at::Tensor& bias, const ConvShape& shape);
// `output` with the history of x weight^T + bias.
at::Tensor linear_again(const at::Tensor& output, const at::Tensor& x, const at::Tensor& weight,
                        const at::Tensor& bias);

}  // namespace residua
