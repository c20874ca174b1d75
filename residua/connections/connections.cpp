// The table of connections: each family adds its own.

#include "residua/connections/hyper.h"
#include "residua/connections/identity.h"
#include "residua/connections/ladder.h"
#include "residua/connections/multirate.h"
#include "residua/connections/parallel.h"

namespace residua {

Registry<Connection, Carrier, Random>& connections() {
  static Registry<Connection, Carrier, Random> registry = [] {
    Registry<Connection, Carrier, Random> r("connection");
    add_hyper_connections(r);
    add_identity_connections(r);
    add_ladder_connections(r);
    add_multirate_connections(r);
    add_parallel_connections(r);
    return r;
  }();
  return registry;
}

}  // namespace residua
