// The table of probes: each family adds its own.

#include "residua/analysis/probe.h"
#include "residua/analysis/signal/signal_probes.h"

namespace residua {

Registry<Probe>& probes() {
  static Registry<Probe> registry = [] {
    Registry<Probe> r("probe");
    add_signal_propagation_probe(r);
    add_update_size_probe(r);
    add_weight_spectrum_probe(r);
    return r;
  }();
  return registry;
}

}  // namespace residua
