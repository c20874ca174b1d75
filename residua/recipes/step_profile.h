#pragma once
// What one training step of an experiment needs and how the gradient gets through its network.

#include <cstdint>
#include <vector>

#include "residua/recipes/experiment.h"

namespace residua {

struct StepProfile {
  int64_t peak_bytes = 0;  // of tensors made by forward and backward at once, gradients included
  // Norm of the gradient of the loss by the stream after each site, in the order of execution; 0 of
  // a site whose stream does not reach the loss. Empty for networks without sites, and for
  // connections that drive their branches themselves.
  std::vector<double> gradient_norms;
};

// Of the first batch of the first epoch; leaves gradients behind.
StepProfile profile_step(const Experiment& experiment);

}  // namespace residua
