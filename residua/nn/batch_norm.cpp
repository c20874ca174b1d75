#include "residua/nn/batch_norm.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/nn/batch_norm_fused.h"
#include "residua/nn/observe.h"
#include "residua/nn/recompute.h"

namespace residua {

namespace {

void check_batch_norm_input(const BatchNorm2d& bn, const at::Tensor& x,
                            const at::Tensor& residual) {
  const auto text = [](const at::Tensor& t) {
    return fmt::format("{}", fmt::join(t.sizes(), " x "));
  };
  if (x.dim() != 4 || x.size(1) != bn.weight.size(0))
    throw Error(ErrorKind::shape, {.where = "batch_norm",
                                   .rule = "takes images with its number of channels",
                                   .expected = fmt::format("N x {} x H x W", bn.weight.size(0)),
                                   .received = text(x)});
  if (residual.defined() && residual.sizes() != x.sizes())
    throw Error(ErrorKind::shape, {.where = "batch_norm",
                                   .rule = "the residual must have the input's size",
                                   .expected = text(x),
                                   .received = text(residual)});
  if (bn.is_training() && x.numel() <= x.size(1))
    throw Error(ErrorKind::shape, {.where = "batch_norm",
                                   .rule = "training needs more than one value per channel",
                                   .received = text(x),
                                   .hint = "use a larger batch or larger images"});
}

}  // namespace

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
  check_batch_norm_input(bn, x, residual);
  const bool training = bn.is_training(), moves = training && !recomputing();
  if (moves) bn.num_batches_tracked.add_(1);
  at::Tensor y;
  if (can_fuse_batch_norm(bn, x)) {
    y = fused_batch_norm(bn, x, act, residual);
  } else {
    const bool uses_running = moves || !training;
    y = at::batch_norm(x, bn.weight, bn.bias, uses_running ? bn.running_mean : at::Tensor(),
                       uses_running ? bn.running_var : at::Tensor(), training, bn.momentum, bn.eps,
                       at::globalContext().userEnabledCuDNN());
    if (residual.defined()) y = y + residual;
    if (act == Act::relu) y = y.relu();
  }
  observe(bn, x, y);
  return y;
}

}  // namespace residua
