#include "residua/nn/pool.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/nn/observe.h"

namespace residua {

MaxPool2d::MaxPool2d(int64_t kernel, int64_t stride, int64_t padding)
    : torch::nn::Module("MaxPool2d"), kernel_(kernel), stride_(stride), padding_(padding) {}

at::Tensor MaxPool2d::forward(const at::Tensor& x) const {
  at::Tensor y = at::max_pool2d(x, kernel_, stride_, padding_);
  observe(*this, x, y);
  return y;
}

void MaxPool2d::pretty_print(std::ostream& stream) const {
  stream << fmt::format("MaxPool2d({0}x{0}, stride {1}, padding {2})", kernel_, stride_, padding_);
}

GlobalAveragePool::GlobalAveragePool() : torch::nn::Module("GlobalAveragePool") {}

at::Tensor GlobalAveragePool::forward(const at::Tensor& x) const {
  at::Tensor y = x.mean({2, 3});
  observe(*this, x, y);
  return y;
}

}  // namespace residua
