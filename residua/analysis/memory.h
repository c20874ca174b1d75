#pragma once
// How much memory a training step needs, measured and planned.

#include <functional>

#include "residua/analysis/probe.h"
#include "residua/models/stream_model.h"

namespace residua {

struct StepMemory {
  int64_t saved = 0;   // bytes that live after the forward
  int64_t peak = 0;    // most bytes at once, gradients of parameters among them
  double seconds = 0;  // of forward and backward
};

// One forward to a scalar and its backward; counts what they allocate on the CPU. `loss` may be
// called several times before: the median of `repeats` gives the seconds.
StepMemory measure_step(const std::function<at::Tensor()>& loss, int64_t repeats = 1);

// memory-scaling: peak bytes and step time of CIFAR ResNets by depth, or of an unrolled LSTM by
// its steps, under several memory plans. memory-bars: the bytes of a residual network's training
// step when all its buffers are planned before it runs, as in figure 5 of arXiv:1604.06174.
void add_memory_probes(Registry<Probe>& probes);

}  // namespace residua
