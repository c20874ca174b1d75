#pragma once
// Probe gradient-norm: how much of the gradient reaches a weight of a trained network.

#include "residua/analysis/probe.h"

namespace residua {

struct GradientNormOptions {
  std::string parameter = {};
  int64_t batches = 8;

  void fields(Fields& f);
};

// Metrics: gradient, the mean norm over training batches, in training mode, of the gradient of one
// parameter (default: the first, the stem's weights); relative, that over the parameter's norm.
void add_gradient_norm_probe(Registry<Probe>& probes);

}  // namespace residua
