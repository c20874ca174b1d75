#pragma once
// The vision transformer of "Go Wider Instead of Deeper" (arXiv:2107.11817): widenet_blocks.h
// between patches and the mean over them, with a tanh representation layer before the classifier.
// Parameter names are our own: patch_embed.proj, pos_embed, blocks.*, norms.*, norm,
// representation, head.

#include <memory>
#include <vector>

#include "residua/models/stream_model.h"
#include "residua/models/widenet_blocks.h"
#include "residua/nn/conv.h"

namespace residua {

struct WideNetOptions {
  WideBlocksOptions blocks = {};
  int64_t image_size = 32;
  int64_t patch = 4;
  bool representation = true;
  int64_t num_classes = 10;
  int64_t in_channels = 3;

  void fields(Fields& f);
};

class WideNet final : public StreamModel {
 public:
  // Throws ErrorKind::invalid_argument when patches do not fill the image.
  WideNet(const WideNetOptions& options, const Random& random);

  at::Tensor forward(at::Tensor x) override;
  // The patches after each block, as maps [N, dim, H / patch, W / patch].
  std::vector<at::Tensor> features(at::Tensor x) override;
  void reset_classifier(int64_t num_classes, Random random) override;

  at::Tensor run_blocks(const at::Tensor& tokens);  // [N, patches, dim]
  WideBlocks& blocks() { return *blocks_; }

 private:
  at::Tensor embed(const at::Tensor& x);
  StreamParts stream_parts();

  WideNetOptions options_;
  at::Tensor pos_embed_;
  std::shared_ptr<Conv2d> proj_;
  std::unique_ptr<WideBlocks> blocks_;
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Linear> representation_, head_;
};

void add_widenets(Registry<Model, Random>& models);

}  // namespace residua
