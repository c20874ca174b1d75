// The table of probes: each family adds its own.

#include "residua/analysis/probe.h"

namespace residua {

Registry<Probe>& probes() {
  static Registry<Probe> registry = [] {
    Registry<Probe> r("probe");
    return r;
  }();
  return registry;
}

}  // namespace residua
