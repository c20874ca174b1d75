#pragma once
// Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167) of images, with the addition and
// the activation that follow it in residual networks.

#include <torch/nn/module.h>

namespace residua {

enum class Act { none, relu };

// Parameters weight and bias [channels], buffers running_mean, running_var [channels] and
// num_batches_tracked, as torch's BatchNorm2d.
class BatchNorm2d final : public torch::nn::Module {
 public:
  explicit BatchNorm2d(int64_t channels, double eps = 1e-5, double momentum = 0.1);

  at::Tensor forward(const at::Tensor& x);
  void pretty_print(std::ostream& stream) const override;

  at::Tensor weight, bias, running_mean, running_var, num_batches_tracked;
  double eps, momentum;
};

// act(bn(x) + residual); `residual` may be undefined. x and residual: [N, channels, H, W]; the
// result has the type and memory layout of x. Throws ErrorKind::shape for other sizes, and in
// training for one value per channel.
//
// On the CPU, float32 and bfloat16 images in channels-last layout take two passes over memory
// forwards and two backwards, with statistics and parameters in float32 and sums that do not depend
// on the number of threads. Everything else is computed by libtorch's own operations.
at::Tensor batch_norm_act(BatchNorm2d& bn, const at::Tensor& x, Act act,
                          const at::Tensor& residual = {});

}  // namespace residua
