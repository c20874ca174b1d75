#pragma once
// Residual networks for ImageNet-sized images. Parameter names are torchvision's: conv1, bn1,
// layer{1..4}.{i}.{conv,bn}{1..3}, layer{1..4}.{i}.downsample.{0,1}, fc.
//
//   "Deep Residual Learning for Image Recognition", He, Zhang, Ren, Sun 2015, arXiv:1512.03385:
//      resnet18, resnet34, resnet50, resnet101, resnet152
//   "Aggregated Residual Transformations for Deep Neural Networks", Xie et al. 2016,
//   arXiv:1611.05431: resnext50_32x4d "Wide Residual Networks", Zagoruyko and Komodakis 2016,
//   arXiv:1605.07146: wide_resnet50_2

#include "residua/models/vision/staged_resnet.h"

namespace residua {

struct ResNetOptions {
  BlockKind block = BlockKind::basic;
  std::vector<int64_t> layers = {2, 2, 2, 2};
  int64_t width = 64;
  int64_t num_classes = 1000;
  int64_t in_channels = 3;
  int64_t groups = 1;
  int64_t width_per_group = 64;
  bool stride_in_1x1 = false;
  Shortcut shortcut = Shortcut::b;
  BlockOrder order = BlockOrder::post;
  bool norm = true;
  Component connection = "identity";
  bool zero_init_residual = false;
  WeightInit init = WeightInit::he_fan_out;

  void fields(Fields& f);
};

class ResNet final : public StagedResNet {
 public:
  ResNet(const ResNetOptions& options, const Random& random);

  at::Tensor forward(at::Tensor x) override;
  std::vector<at::Tensor> features(at::Tensor x) override;  // C2 ... C5 of the detection literature
  void reset_classifier(int64_t num_classes, Random random) override;

  const ResNetOptions& options() const { return options_; }

 private:
  at::Tensor stem(const at::Tensor& x);

  ResNetOptions options_;
  std::shared_ptr<MaxPool2d> maxpool_;
};

void add_resnets(Registry<Model, Random>& models);

}  // namespace residua
