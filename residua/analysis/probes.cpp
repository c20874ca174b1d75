// The table of probes: each family adds its own.

#include "residua/analysis/block_removal.h"
#include "residua/analysis/decode_speed.h"
#include "residua/analysis/dynamics/stiffness_probes.h"
#include "residua/analysis/gradient_norm.h"
#include "residua/analysis/language_probes.h"
#include "residua/analysis/memory.h"
#include "residua/analysis/ode_probes.h"
#include "residua/analysis/probe.h"
#include "residua/analysis/signal/attention.h"
#include "residua/analysis/signal/signal_probes.h"
#include "residua/analysis/skip_cost.h"
#include "residua/analysis/stream_reads.h"
#include "residua/analysis/tuning_memory.h"

namespace residua {

Registry<Probe>& probes() {
  static Registry<Probe> registry = [] {
    Registry<Probe> r("probe");
    add_attention_probes(r);
    add_block_removal_probe(r);
    add_decode_speed_probe(r);
    add_dynamics_probes(r);
    add_gradient_norm_probe(r);
    add_language_probes(r);
    add_memory_probes(r);
    add_ode_probes(r);
    add_signal_propagation_probe(r);
    add_skip_cost_probe(r);
    add_stiffness_probes(r);
    add_stream_reads_probe(r);
    add_tuning_memory_probe(r);
    add_update_size_probe(r);
    add_weight_spectrum_probe(r);
    return r;
  }();
  return registry;
}

}  // namespace residua
