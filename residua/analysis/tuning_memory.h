#pragma once
// Probe tuning-memory: what a training step of a job needs, with the parameters that the job lets
// learn.

#include "residua/analysis/probe.h"

namespace residua {

struct TuningMemoryOptions {
  int64_t repeats = 3;
  void fields(Fields& f);
};

// Metrics: peak and saved, bytes of a step on one batch of the job (memory.h), and seconds, the
// median of the repeats.
void add_tuning_memory_probe(Registry<Probe>& probes);

}  // namespace residua
