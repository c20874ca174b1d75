#pragma once
// The simplest connections: "Deep Residual Learning for Image Recognition" (He et al. 2015,
// arXiv:1512.03385) and its plain counterpart; constant and learned scales of the branch.

#include "residua/connections/connection.h"

namespace residua {

// identity: x <- S(x) + y. none: x <- y, the plain network. scaled: x <- S(x) + scale * y with one
// constant, or one learned number for each site (init `scale`; 0 is ReZero, arXiv:2003.04887).
void add_identity_connections(Registry<Connection, Carrier, Random>& connections);

}  // namespace residua
