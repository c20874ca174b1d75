// The table of connections: each family adds its own.

#include "residua/connections/fixup.h"
#include "residua/connections/identity.h"
#include "residua/connections/norm_free.h"
#include "residua/connections/orthonormal.h"

namespace residua {

Registry<Connection, Carrier, Random>& connections() {
  static Registry<Connection, Carrier, Random> registry = [] {
    Registry<Connection, Carrier, Random> r("connection");
    add_fixup_connections(r);
    add_identity_connections(r);
    add_norm_free_connections(r);
    add_orthonormal_connections(r);
    return r;
  }();
  return registry;
}

}  // namespace residua
