#pragma once
// Probes of trained language models.

#include "residua/analysis/probe.h"

namespace residua {

// decode-cache: memory and speed of decoding. Metrics cache_bytes (of one sequence as long as the
// context), cache_share (over that of keys and values of every layer), tokens_per_second; series of
// bytes by length.
//
// loop-sweep: test loss of a model with the connection `loop`, evaluated with 1, 2, ...
// loops: metrics loss_1, loss_2, ... and a series.
void add_language_probes(Registry<Probe>& probes);

}  // namespace residua
