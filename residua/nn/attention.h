#pragma once
// Multi-head attention (Vaswani et al. 2017, arXiv:1706.03762, equation 1), with fewer heads of
// keys and values where asked for (Ainslie et al. 2023, arXiv:2305.13245). It is cut into steps, so
// that positions, caches and residual connections can come between them:
//
//   auto [q, k, v] = attention->project(x);
//   y = attention->output(attention->mix(q, k, v, /*causal=*/true));

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>
#include <string>

#include "residua/core/random.h"
#include "residua/nn/linear.h"

namespace residua {

// softmax(q k^T / sqrt(d)) of q [N, heads, T, d] and k [N, kv_heads, S, d]: [N, heads, T, S]. The
// queries are those of the last T positions; `causal` hides from each the positions after its own.
at::Tensor attention_weights(const at::Tensor& q, const at::Tensor& k, bool causal);

struct AttentionOptions {
  int64_t dim = 0;
  int64_t heads = 1;     // divides dim
  int64_t kv_heads = 0;  // divides heads; 0: as many
  bool bias = true;
  bool key = true, value = true;  // own projections; otherwise the caller brings them
  double weight_dropout = 0, output_dropout = 0;
  double stddev = 0, output_stddev = 0;  // of the first weights; 0: as Linear
  std::string in_name = "qkv", out_name = "proj";
};

// The mixing itself, as a layer of its own so that its operations are counted. Queries of several
// streams one after the other, [m N, ...], may share the keys and values of one, [N, ...].
class AttentionCore final : public torch::nn::Module, public CountsMacs {
 public:
  explicit AttentionCore(double dropout) : torch::nn::Module("AttentionCore"), dropout_(dropout) {}

  // v [N, kv_heads, S, d] -> [N, heads, T, d].
  at::Tensor forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     bool causal) const;
  // Of whole sequences, where S = T.
  int64_t macs(const at::Tensor& input, const at::Tensor& output) const override;

 private:
  double dropout_;
};

// Parameters: in_name.{weight, bias} with rows q, k, v one after the other, out_name.{weight,
// bias}.
class Attention final : public torch::nn::Module {
 public:
  // Throws ErrorKind::invalid_argument when the heads do not divide.
  Attention(const AttentionOptions& options, const Random& random);

  struct Projected {
    at::Tensor q, k, v;  // [N, heads or kv_heads, T, d]; undefined without own projection
  };
  Projected project(const at::Tensor& x) const;  // [N, T, dim]
  at::Tensor mix(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool causal) const {
    return core_->forward(q, k, v, causal);
  }
  at::Tensor output(const at::Tensor& u) const;  // [N, heads, T, d] -> [N, T, dim]
  const AttentionOptions& options() const { return options_; }

  std::shared_ptr<Linear> in, out;

 private:
  AttentionOptions options_;
  std::shared_ptr<AttentionCore> core_;
};

}  // namespace residua
