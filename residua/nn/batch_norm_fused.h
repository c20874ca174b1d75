#pragma once
// The CPU path of batch_norm_act: kernels over channels-last memory with their own gradient.

#include "residua/nn/batch_norm.h"

namespace residua {

// Float32 or bfloat16 on the CPU, channels-last, with float32 parameters.
bool can_fuse_batch_norm(const BatchNorm2d& bn, const at::Tensor& x);

// Needs can_fuse_batch_norm(bn, x) and sizes that fit. In training also moves the running
// statistics.
at::Tensor fused_batch_norm(BatchNorm2d& bn, const at::Tensor& x, Act act,
                            const at::Tensor& residual);

}  // namespace residua
