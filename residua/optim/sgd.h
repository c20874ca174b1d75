#pragma once
// Stochastic gradient descent with (Nesterov) momentum, in PyTorch's form: g += decay * p; b =
// momentum * b + (1 - dampening) * g, where the first b is g; p -= lr * (b, or g + momentum * b
// with Nesterov).

#include <memory>

#include "residua/optim/optimizer.h"

namespace residua {

// Throws ErrorKind::invalid_argument when Nesterov is asked for without momentum or with dampening.
std::shared_ptr<Optimizer> make_sgd(std::vector<ParameterGroup> groups,
                                    const SgdOptions& options = {});

}  // namespace residua
