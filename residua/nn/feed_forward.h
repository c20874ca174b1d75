#pragma once
// The two-layer perceptron of transformers: W2 act(W1 x), or gated W2 (act(Wg x) * W1 x) (Shazeer
// 2020, arXiv:2002.05202).

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>
#include <string>

#include "residua/nn/activation.h"
#include "residua/nn/linear.h"

namespace residua {

struct FeedForwardOptions {
  int64_t dim = 0, hidden = 0;
  Activation act = Activation::gelu;
  bool gated = false;
  bool bias = true;
  double hidden_dropout = 0, output_dropout = 0;
  double stddev = 0, output_stddev = 0;  // of the first weights; 0: as Linear
  std::string first_name = "fc1", second_name = "fc2", gate_name = "gate";
};

// Parameters: {first_name, second_name, and gate_name where gated}.{weight, bias}.
class FeedForward final : public torch::nn::Module {
 public:
  FeedForward(const FeedForwardOptions& options, const Random& random);

  at::Tensor forward(const at::Tensor& x) const;  // [..., dim]

  std::shared_ptr<Linear> first, second, gate;  // gate is null without
  // Added before the activation and before the second layer, where another module sets them.
  at::Tensor act_shift, second_shift;

 private:
  FeedForwardOptions options_;
};

}  // namespace residua
