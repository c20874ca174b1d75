#include "residua/models/vision/hmlp_stem.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/nn/init.h"

namespace residua {

namespace {

// Windows side by side, with PyTorch's own first weights, as in the reference.
std::shared_ptr<Conv2d> window_conv(int64_t in, int64_t out, int64_t size, const Random& random) {
  auto conv = conv2d(in, out, size, {.stride = size, .bias = true}, random);
  const double bound = 1 / std::sqrt(static_cast<double>(in * size * size));
  fill_uniform(conv->weight.detach(), bound, random.split("weight"));
  fill_uniform(conv->bias.detach(), bound, random.split("bias"));
  return conv;
}

}  // namespace

HmlpStem::HmlpStem(int64_t in_channels, int64_t dim, int64_t patch, const Random& random)
    : torch::nn::Module("HmlpStem") {
  if (patch % 4 != 0 || dim % 4 != 0)
    throw Error(ErrorKind::invalid_argument,
                {.where = "model.stem",
                 .rule = "hmlp needs patches and a width that 4 divides",
                 .received = fmt::format("patch {}, dim {}", patch, dim)});
  const auto conv = [&](const char* name, int64_t in, int64_t out, int64_t size) {
    return register_module(name, window_conv(in, out, size, random.split(name)));
  };
  const auto norm = [&](const char* name, int64_t channels) {
    return register_module(name, std::make_shared<BatchNorm2d>(channels));
  };
  conv0_ = conv("0", in_channels, dim / 4, patch / 4);
  norm1_ = norm("1", dim / 4);
  conv3_ = conv("3", dim / 4, dim / 4, 2);
  norm4_ = norm("4", dim / 4);
  conv6_ = conv("6", dim / 4, dim, 2);
  norm7_ = norm("7", dim);
}

at::Tensor HmlpStem::forward(const at::Tensor& x) {
  const at::Tensor a = at::gelu(norm1_->forward(conv0_->forward(x)));
  const at::Tensor b = at::gelu(norm4_->forward(conv3_->forward(a)));
  return norm7_->forward(conv6_->forward(b));
}

}  // namespace residua
