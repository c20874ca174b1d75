#pragma once
// Adam with decoupled weight decay (Loshchilov, Hutter 2019), in PyTorch's form: p *= 1 - lr *
// decay, then Adam's step with both bias corrections and eps added outside of the corrected root.

#include <memory>

#include "residua/optim/optimizer.h"

namespace residua {

std::shared_ptr<Optimizer> make_adamw(std::vector<ParameterGroup> groups,
                                      const AdamWOptions& options = {});

}  // namespace residua
