#pragma once
// Vision transformers: "An Image is Worth 16x16 Words" (Dosovitskiy et al. 2020, arXiv:2010.11929).
// Parameter names and first weights are those of timm's VisionTransformer: cls_token, pos_embed,
// patch_embed.proj, blocks.{i}.{norm1, attn.qkv, attn.proj, ls1.gamma, norm2, mlp.fc1, mlp.fc2,
// ls2.gamma}, norm (or fc_norm), head.
//
// And what "Three things everyone should know about Vision Transformers" (Touvron et al. 2022,
// arXiv:2203.09795) makes of them: blocks of several attentions and MLPs side by side, under timm's
// names blocks.{i}.attns.{j}.{norm, attn, ls}, blocks.{i}.ffns.{j}.{norm, mlp, ls}; and a stem of
// small convolutions within each patch (hmlp_stem.h).

#include <array>
#include <memory>
#include <vector>

#include "residua/models/stream_model.h"
#include "residua/models/transformer_block.h"
#include "residua/models/vision/hmlp_stem.h"
#include "residua/nn/conv.h"
#include "residua/nn/state.h"

namespace residua {

enum class VitPool {
  token,  // the class token, after normalisation
  avg,    // the mean over the patches, then normalisation (fc_norm)
};

template <>
struct EnumNames<VitPool> {
  static constexpr std::array names{"token", "avg"};
};

enum class VitStem {
  patch,  // one linear map of each patch
  hmlp,   // three, with batch normalisation and GELU between
};

template <>
struct EnumNames<VitStem> {
  static constexpr std::array names{"patch", "hmlp"};
};

struct VitOptions {
  int64_t image_size = 32;
  int64_t patch = 4;
  int64_t dim = 64;
  int64_t depth = 6;
  int64_t branches = 1;
  int64_t heads = 4;
  double mlp_ratio = 4;
  bool qkv_bias = true;
  double layer_scale = 0;
  VitStem stem = VitStem::patch;
  VitPool pool = VitPool::token;
  double drop = 0;
  double attn_drop = 0;
  int64_t num_classes = 10;
  int64_t in_channels = 3;
  Component connection = "identity";

  void fields(Fields& f);
};

class Vit final : public StreamModel {
 public:
  // Throws ErrorKind::invalid_argument when patches do not fill the image or heads the width.
  Vit(const VitOptions& options, const Random& random);

  at::Tensor forward(at::Tensor x) override;
  // The patches after each block, as maps [N, dim, H / patch, W / patch].
  std::vector<at::Tensor> features(at::Tensor x) override;
  void reset_classifier(int64_t num_classes, Random random) override;
  // Position embeddings of another number of patches, interpolated.
  bool adopt(const std::string& name, const at::Tensor& tensor) override;

  // Images to the first stream [N, 1 + patches, dim], and the last stream to logits.
  at::Tensor embed(const at::Tensor& x);
  at::Tensor run_blocks(const at::Tensor& tokens);
  at::Tensor head(const at::Tensor& tokens);
  const std::vector<std::shared_ptr<TransformerBlock>>& blocks() const { return blocks_; }

  // Told what every attention computes, until it is set to nothing.
  using VisitAttention = std::function<void(const Site&, const AttentionView&)>;
  void visit_attention(VisitAttention visit) { visit_attention_ = std::move(visit); }

 private:
  StreamParts stream_parts();
  void add_stem(const Random& random);
  void add_blocks(const Random& random);

  VitOptions options_;
  at::Tensor cls_token_, pos_embed_;
  std::shared_ptr<Conv2d> proj_;  // null with the other stem
  std::shared_ptr<HmlpStem> hmlp_;
  std::vector<std::shared_ptr<TransformerBlock>> blocks_;
  std::shared_ptr<VectorNorm> norm_;
  std::shared_ptr<Linear> head_;
  at::Tensor bias2_;  // before the head, where the connection asks for scalars
  VisitAttention visit_attention_;
};

// Position embeddings [1, 1 + s^2, dim] of a class token and s x s patches for another number of
// patches: bicubic interpolation of the grid.
at::Tensor resize_positions(const at::Tensor& pos_embed, int64_t side);

// A sequential ViT's tensors under the names of one with `branches` side by side: block i becomes
// branch i mod k of block i / k. The block count must be divisible.
NamedTensors seq_to_parallel(const NamedTensors& sequential, int64_t branches);

void add_vits(Registry<Model, Random>& models);

}  // namespace residua
