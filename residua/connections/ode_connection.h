#pragma once
// Blocks as the right side of a differential equation, whose solver evaluates them: "Neural
// Ordinary Differential Equations" (Chen et al. 2018, arXiv:1806.07366) and "A Neural ODE
// Interpretation of Transformer Layers" (Zhong, Liu, Wang et al. 2022, arXiv:2212.06011).

#include "residua/connections/connection.h"

namespace residua {

// ode: `share` neighbouring blocks have the same weights, those of one block, and become the
// solution of dx/dt = sum of the block's branches(x) over a time of `share`. Euler's method with
// its step of 1 is the residual network of tied blocks, in which the branches of a
// block stand side by side; share = 1 leaves each block its own weights. Blocks that change the
// stream's shape stay as they are.
void add_ode_connections(Registry<Connection, Carrier, Random>& connections);

}  // namespace residua
