#pragma once
// The networks of "Fixup Initialization: Residual Learning Without Normalization" (Zhang, Dauphin,
// Ma 2019, arXiv:1901.09321), under the names of hongyi-zhang/Fixup: conv1, bias1,
// layer{s}.{i}.{bias1a, conv1, bias1b, bias2a, conv2, scale, bias2b} (bottlenecks up to bias3b),
// layer{s}.{i}.downsample in networks for ImageNet, bias2, fc. They are ResNets of order post that
// the connection "fixup" carries.
//
//   for 32x32 images: fixup_resnet20, 32, 44, 56, 110, 1202, and fixup_resnet_cifar of any depth
//   for ImageNet: fixup_resnet18, 34, 50, 101, 152

#include "residua/models/vision/residual_block.h"

namespace residua {

struct FixupCifarOptions {
  int64_t n = 3;
  int64_t width = 16;
  int64_t num_classes = 10;
  int64_t in_channels = 3;

  void fields(Fields& f);
};

struct FixupResNetOptions {
  BlockKind block = BlockKind::basic;
  std::vector<int64_t> layers = {2, 2, 2, 2};
  int64_t width = 64;
  int64_t num_classes = 1000;
  int64_t in_channels = 3;

  void fields(Fields& f);
};

class Model;
void add_fixup_resnets(Registry<Model, Random>& models);

}  // namespace residua
