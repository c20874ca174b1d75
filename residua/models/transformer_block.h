#pragma once
// The block of transformers with normalisation first, as two branches of a residual stream:
//
//   x <- x + scale(attention(norm(x)));  x <- x + scale(mlp(norm(x)))

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "residua/connections/connection.h"
#include "residua/nn/attention.h"
#include "residua/nn/decode_cache.h"
#include "residua/nn/feed_forward.h"
#include "residua/nn/layer_scale.h"
#include "residua/nn/rotary.h"
#include "residua/nn/vector_norm.h"

namespace residua {

// What one attention computed with, for those who look at it; keys and values are all it attends
// to.
struct AttentionView {
  const at::Tensor &q, &k, &v, &u;
  bool causal;
};

// One call of an attention branch.
struct AttentionPass {
  Connection& connection;
  const Site& site;
  State& state;
  bool causal = false;
  const Rotary* rotary = nullptr;  // null: the stream carries the positions
  DecodeCache* cache = nullptr;    // keys at 2 * step, values at 2 * step + 1
  const std::function<void(const Site&, const AttentionView&)>& visit;
};

// How the parts of a block are called.
struct BlockNames {
  std::string norm1 = "norm1", attention = "attn", scale1 = "ls1";
  std::string norm2 = "norm2", mlp = "mlp", scale2 = "ls2";
};

struct TransformerBlockOptions {
  BlockNames names = {};
  VectorNormKind norm = VectorNormKind::layer;
  double norm_eps = 1e-6;
  bool norm_bias = true;
  double layer_scale = 0;  // 0: none
  AttentionOptions attention = {};
  FeedForwardOptions mlp = {};
};

// A branch is a module of its own, so that a connection finds in it what belongs to it; its parts
// are registered in the block too, under the reference's names. Connections may ask for scalars,
// with linear layers without biases: {attn}_bias1 before the first layer, {attn}_bias2 before the
// last, {attn}_scale behind it; {mlp}_bias1, {mlp}_bias2 before the activation, {mlp}_bias3 before
// the last layer, {mlp}_scale.
class AttentionBranch final : public torch::nn::Module, public BranchWeights {
 public:
  AttentionBranch(const TransformerBlockOptions& options, const BranchStyle& style,
                  const Random& random);
  at::Tensor forward(const at::Tensor& x, const AttentionPass& pass) const;  // [N, T, dim]
  std::vector<at::Tensor> branch_weights() const override;  // the values', the output's

  std::shared_ptr<VectorNorm> norm;   // null without
  std::shared_ptr<LayerScale> scale;  // null without
  std::shared_ptr<Attention> attention;

 private:
  double input_scale_;
  at::Tensor first_bias_, last_bias_, multiplier_;
};

class MlpBranch final : public torch::nn::Module, public BranchWeights {
 public:
  MlpBranch(const TransformerBlockOptions& options, const BranchStyle& style, const Random& random);
  at::Tensor forward(const at::Tensor& x) const;  // [..., dim]
  std::vector<at::Tensor> branch_weights() const override;

  std::shared_ptr<VectorNorm> norm;   // null without
  std::shared_ptr<LayerScale> scale;  // null without
  std::shared_ptr<FeedForward> mlp;

 private:
  double input_scale_;
  at::Tensor first_bias_, multiplier_;
};

class TransformerBlock final : public torch::nn::Module {
 public:
  // Throws ErrorKind::unsupported for a style that transformers do not have.
  TransformerBlock(const TransformerBlockOptions& options, const BranchStyle& attention_style,
                   const BranchStyle& mlp_style, const Random& random);

  std::shared_ptr<AttentionBranch> attention;
  std::shared_ptr<MlpBranch> mlp;
};

// Sites of `depth` blocks: attention, MLP, attention, ...
std::vector<Site> transformer_sites(int64_t depth, int64_t dim);

}  // namespace residua
