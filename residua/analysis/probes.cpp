// The table of probes: each family adds its own.

#include "residua/analysis/probe.h"

#include "residua/analysis/memory.h"
#include "residua/analysis/ode_probes.h"

namespace residua {

Registry<Probe>& probes() {
  static Registry<Probe> registry = [] {
    Registry<Probe> r("probe");
    add_dynamics_probes(r);
    add_memory_probes(r);
    add_ode_probes(r);
    return r;
  }();
  return registry;
}

}  // namespace residua
