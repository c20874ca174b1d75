// The table of probes: each family adds its own.

#include "residua/analysis/decode_speed.h"
#include "residua/analysis/probe.h"

namespace residua {

Registry<Probe>& probes() {
  static Registry<Probe> registry = [] {
    Registry<Probe> r("probe");
    add_decode_speed_probe(r);
    return r;
  }();
  return registry;
}

}  // namespace residua
