#pragma once
// Residual networks for small images, of depth 6n + 2: a 3x3 convolution, three stages of n basic
// blocks with 16, 32 and 64 channels, and a classifier ("Deep Residual Learning for Image
// Recognition", He, Zhang, Ren, Sun 2015, arXiv:1512.03385, section 4.2). Parameter names are those
// of akamaster/pytorch_resnet_cifar10: conv1, bn1, layer{1..3}.{i}.{conv,bn}{1,2},
// layer{1..3}.{i}.shortcut.{0,1} for options B and C, linear.
//
// The reference draws its first weights with fan_in where the paper's implementation has fan_out:
// init=he_fan_in.

#include "residua/models/vision/staged_resnet.h"

namespace residua {

struct ResNetCifarOptions {
  int64_t n = 3;
  int64_t width = 16;
  int64_t num_classes = 10;
  int64_t in_channels = 3;
  Shortcut shortcut = Shortcut::a;
  BlockOrder order = BlockOrder::post;
  bool norm = true;
  Component connection = "identity";
  bool zero_init_residual = false;
  WeightInit init = WeightInit::he_fan_out;

  void fields(Fields& f);
};

class ResNetCifar final : public StagedResNet {
 public:
  ResNetCifar(const ResNetCifarOptions& options, const Random& random,
              const std::string& classifier = "linear");

  at::Tensor forward(at::Tensor x) override;
  std::vector<at::Tensor> features(at::Tensor x) override;
  void reset_classifier(int64_t num_classes, Random random) override;

  const ResNetCifarOptions& options() const { return options_; }

 private:
  ResNetCifarOptions options_;
};

void add_cifar_resnets(Registry<Model, Random>& models);

}  // namespace residua
