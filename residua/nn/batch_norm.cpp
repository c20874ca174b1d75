#include "residua/nn/batch_norm.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/nn/observe.h"

namespace residua {

BatchNorm2d::BatchNorm2d(int64_t channels, double eps_, double momentum_)
    : torch::nn::Module("BatchNorm2d"), eps(eps_), momentum(momentum_) {
  weight = register_parameter("weight", torch::ones({channels}));
  bias = register_parameter("bias", torch::zeros({channels}));
  running_mean = register_buffer("running_mean", torch::zeros({channels}));
  running_var = register_buffer("running_var", torch::ones({channels}));
  num_batches_tracked = register_buffer("num_batches_tracked", torch::tensor(0, torch::kLong));
}

at::Tensor BatchNorm2d::forward(const at::Tensor& x) { return batch_norm_act(*this, x, Act::none); }

void BatchNorm2d::pretty_print(std::ostream& stream) const {
  stream << "BatchNorm2d(" << weight.size(0) << ")";
}

at::Tensor batch_norm_act(BatchNorm2d& bn, const at::Tensor& x, Act act,
                          const at::Tensor& residual) {
  if (bn.is_training()) {
    if (x.numel() == x.size(1))
      throw Error(ErrorKind::shape, {.where = "batch_norm",
                                     .rule = "training needs more than one value per channel",
                                     .received = fmt::format("{}", fmt::join(x.sizes(), " x ")),
                                     .hint = "use a larger batch or larger images"});
    bn.num_batches_tracked.add_(1);
  }
  at::Tensor y = at::batch_norm(x, bn.weight, bn.bias, bn.running_mean, bn.running_var,
                                bn.is_training(), bn.momentum, bn.eps, false);
  if (residual.defined()) y = y + residual;
  if (act == Act::relu) y = y.relu();
  observe(bn, x, y);
  return y;
}

}  // namespace residua
