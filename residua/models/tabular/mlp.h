#pragma once
// A residual multi-layer perceptron: x0 = W x + b; at each site x <- x + W2 act(W1 norm(x)); a
// linear classifier at the end. The carrier of exact tests: small enough for double precision and
// Jacobians. Parameter names: stem, blocks.{i}.{norm, fc1, fc2}, norm, head; bias2
// before the head where the connection asks for scalars.

#include <memory>
#include <vector>

#include "residua/models/stream_model.h"
#include "residua/nn/activation.h"
#include "residua/nn/layer_norm.h"
#include "residua/nn/linear.h"

namespace residua {

struct MlpOptions {
  int64_t depth = 4;
  int64_t width = 64;
  double hidden_ratio = 2;
  Activation act = Activation::relu;
  bool norm = true;
  int64_t num_classes = 10;
  int64_t in_channels = 1;
  int64_t image_size = 8;
  Component connection = "identity";

  void fields(Fields& f);
};

// The branch of one site: W2 act(W1 norm(x)), [N, width] to [N, width]. Connections may ask for
// scalars, bias1a before fc1, bias1b behind it, bias2a before fc2, `scale` and bias2b behind it; or
// for standardised weights.
class MlpBlock final : public torch::nn::Module, public BranchWeights {
 public:
  MlpBlock(const MlpOptions& options, const BranchStyle& style, const Random& random);
  at::Tensor forward(const at::Tensor& x) const;

  std::shared_ptr<LayerNorm> norm;  // null without
  std::shared_ptr<WeightLayer> fc1, fc2;

  std::vector<at::Tensor> branch_weights() const override { return {fc1->weight, fc2->weight}; }

 private:
  Activation act_;
  double input_scale_, gamma_ = 1;
  at::Tensor bias1a_, bias1b_, bias2a_, scale_, bias2b_;
};

class Mlp final : public StreamModel {
 public:
  Mlp(const MlpOptions& options, const Random& random);

  // Images [N, in_channels, image_size, image_size].
  at::Tensor forward(at::Tensor x) override;
  // The stream [N, width] after each block.
  std::vector<at::Tensor> features(at::Tensor x) override;
  void reset_classifier(int64_t num_classes, Random random) override;

  // From the stream after the stem [N, width] to the stream before the head.
  at::Tensor run_blocks(const at::Tensor& x);
  const std::vector<std::shared_ptr<MlpBlock>>& blocks() const { return blocks_; }

 private:
  at::Tensor stem(const at::Tensor& x);
  at::Tensor classify(const at::Tensor& stream);

  MlpOptions options_;
  std::shared_ptr<WeightLayer> stem_;
  std::shared_ptr<Linear> head_;
  at::Tensor bias2_;
  std::vector<std::shared_ptr<MlpBlock>> blocks_;
  std::shared_ptr<LayerNorm> norm_;
};

void add_mlps(Registry<Model, Random>& models);

}  // namespace residua
