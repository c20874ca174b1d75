#pragma once
// The language model of "Go Wider Instead of Deeper" (arXiv:2107.11817): widenet_blocks.h behind a
// factorised embedding, as in ALBERT (Lan et al. 2019, arXiv:1909.11942). It predicts the next
// token. Parameter names are our own: wte, wte_proj, wpe, blocks.*, norms.*, norm, head_proj,
// lm_head.

#include <memory>
#include <vector>

#include "residua/models/stream_model.h"
#include "residua/models/token_model.h"
#include "residua/models/widenet_blocks.h"
#include "residua/nn/embedding.h"

namespace residua {

struct WideNetLmOptions {
  WideBlocksOptions blocks = {.dim = 96, .depth = 4};
  int64_t embedding = 128;
  int64_t ctx = 64;
  int64_t vocab_size = 65;

  void fields(Fields& f);
};

class WideNetLm final : public StreamModel, public TokenModel {
 public:
  WideNetLm(const WideNetLmOptions& options, const Random& random);

  at::Tensor forward(at::Tensor ids) override;
  // The stream [N, T, dim] after each block.
  std::vector<at::Tensor> features(at::Tensor ids) override;
  void reset_classifier(int64_t num_classes, Random random) override;

  at::Tensor embed(const at::Tensor& ids, int64_t offset = 0) override;
  // Takes no cache: an expert's room depends on all tokens of the pass.
  at::Tensor run_embeddings(const at::Tensor& x, DecodeCache* cache = nullptr) override;
  at::Tensor unembed(const at::Tensor& stream) override;
  bool decodes() const override { return false; }

  WideBlocks& blocks() { return *blocks_; }

 private:
  StreamParts stream_parts();

  WideNetLmOptions options_;
  std::shared_ptr<Embedding> wte_, wpe_;
  std::shared_ptr<Linear> wte_proj_, head_proj_, head_;
  std::unique_ptr<WideBlocks> blocks_;
  std::shared_ptr<LayerNorm> norm_;
};

void add_widenet_lms(Registry<Model, Random>& models);

}  // namespace residua
