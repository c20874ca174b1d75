#pragma once
// A table of vectors by index.

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "residua/core/random.h"

namespace residua {

// Parameter weight [count, size], normal(0, stddev).
class Embedding final : public torch::nn::Module {
 public:
  Embedding(int64_t count, int64_t size, double stddev, const Random& random);

  at::Tensor forward(const at::Tensor& ids) const;  // int64 [...] below `count` -> [..., size]
  void pretty_print(std::ostream& stream) const override;

  at::Tensor weight;
};

}  // namespace residua
