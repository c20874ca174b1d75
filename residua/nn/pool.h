#pragma once
// Pooling over the height and width of images [N, C, H, W].

#include <torch/nn/module.h>

namespace residua {

// The largest value of each window; positions outside the image never win.
class MaxPool2d final : public torch::nn::Module {
 public:
  MaxPool2d(int64_t kernel, int64_t stride, int64_t padding);
  at::Tensor forward(const at::Tensor& x) const;
  void pretty_print(std::ostream& stream) const override;

 private:
  int64_t kernel_, stride_, padding_;
};

// The mean over all positions: [N, C, H, W] -> [N, C].
class GlobalAveragePool final : public torch::nn::Module {
 public:
  GlobalAveragePool();
  at::Tensor forward(const at::Tensor& x) const;
};

}  // namespace residua
