// The table of connections: each family adds its own.

#include "residua/connections/fixup.h"
#include "residua/connections/hyper.h"
#include "residua/connections/identity.h"
#include "residua/connections/ladder.h"
#include "residua/connections/laurel.h"
#include "residua/connections/loop.h"
#include "residua/connections/multirate.h"
#include "residua/connections/norm_free.h"
#include "residua/connections/ode_connection.h"
#include "residua/connections/orthonormal.h"
#include "residua/connections/parallel.h"
#include "residua/connections/skipnet.h"
#include "residua/connections/stepnet.h"
#include "residua/connections/stochastic.h"
#include "residua/connections/value_residual.h"

namespace residua {

Registry<Connection, Carrier, Random>& connections() {
  static Registry<Connection, Carrier, Random> registry = [] {
    Registry<Connection, Carrier, Random> r("connection");
    add_fixup_connections(r);
    add_hyper_connections(r);
    add_identity_connections(r);
    add_ladder_connections(r);
    add_multirate_connections(r);
    add_laurel_connections(r);
    add_norm_free_connections(r);
    add_ode_connections(r);
    add_orthonormal_connections(r);
    add_parallel_connections(r);
    add_skipnet_connections(r);
    add_stepnet_connections(r);
    add_stochastic_connections(r);
    add_value_connections(r);
    add_loop_connections(r);
    return r;
  }();
  return registry;
}

}  // namespace residua
