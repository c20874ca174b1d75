#pragma once
// Networks without normalisation, under timm's names: stem.conv or stem.conv{1..4},
// stages.{s}.{b}.{conv1, conv2, conv2b, conv3}.{weight, bias, gain}, stages.{s}.{b}.attn...,
// stages.{s}.{b}.downsample.conv, stages.{s}.{b}.skipinit_gain, final_conv, head.fc.
//
//   "Characterizing signal propagation to close the performance gap in unnormalized ResNets",
//   Brock, De, Smith 2021, arXiv:2101.08692: nf_resnet26, 50, 101, nf_regnet_b0 ... b5
//   "High-Performance Large-Scale Image Recognition Without Normalization", Brock, De, Smith,
//   Simonyan 2021, arXiv:2102.06171: dm_nfnet_f0 ... f6
//
// Channels are rounded to multiples of 8 as timm's, where the first paper's RegNets are not.

#include "residua/models/stream_model.h"
#include "residua/models/vision/nf_block.h"
#include "residua/nn/linear.h"
#include "residua/nn/pool.h"

namespace residua {

enum class NfStem {
  conv3x3,       // stride 2
  conv7x7_pool,  // stride 2, and a max pooling
  deep_quad,     // four 3x3 convolutions, strides 2, 1, 1, 2
};

template <>
struct EnumNames<NfStem> {
  static constexpr std::array names{"3x3", "7x7_pool", "deep_quad"};
};

struct NfNetOptions {
  std::vector<int64_t> depths = {3, 4, 6, 3};
  std::vector<int64_t> channels = {256, 512, 1024, 2048};
  double width_factor = 1;
  NfStem stem = NfStem::conv7x7_pool;
  int64_t stem_channels = 64;
  int64_t head_channels = 0;
  double bottle_ratio = 0.25;
  bool expand_input = false;
  int64_t group_size = 0;
  bool extra_conv = false;
  double se_ratio = 0;
  double alpha = 0.2;
  bool skipinit = false;
  Activation act = Activation::relu;
  bool gamma_in_act = false;
  bool same_padding = false;
  double dropout = 0;
  double drop_path = 0;
  int64_t num_classes = 1000;
  int64_t in_channels = 3;

  void fields(Fields& f);
};

class NfNet final : public StreamModel {
 public:
  NfNet(const NfNetOptions& options, const Random& random);

  at::Tensor forward(at::Tensor x) override;
  std::vector<at::Tensor> features(at::Tensor x) override;
  void reset_classifier(int64_t num_classes, Random random) override;

  const std::vector<std::shared_ptr<NfBlock>>& blocks() const { return blocks_; }

 private:
  void add_stem(const Random& random);
  void add_blocks(const Random& random);
  at::Tensor run_stem(const at::Tensor& x);
  at::Tensor run_blocks(const at::Tensor& x, std::vector<at::Tensor>* levels = nullptr);

  NfNetOptions options_;
  NfLayers layers_;
  std::vector<std::shared_ptr<ScaledStdConv2d>> stem_convs_;
  std::shared_ptr<MaxPool2d> stem_pool_;
  std::vector<std::shared_ptr<NfBlock>> blocks_;
  std::shared_ptr<ScaledStdConv2d> final_conv_;
  std::shared_ptr<torch::nn::Module> head_;
  std::shared_ptr<GlobalAveragePool> pool_;
  std::shared_ptr<Linear> fc_;
};

void add_nfnets(Registry<Model, Random>& models);

}  // namespace residua
