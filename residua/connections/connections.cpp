// The table of connections: each family adds its own.

#include "residua/connections/identity.h"
#include "residua/connections/ode_connection.h"

namespace residua {

Registry<Connection, Carrier, Random>& connections() {
  static Registry<Connection, Carrier, Random> registry = [] {
    Registry<Connection, Carrier, Random> r("connection");
    add_identity_connections(r);
    add_ode_connections(r);
    return r;
  }();
  return registry;
}

}  // namespace residua
