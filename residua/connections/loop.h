#pragma once
// The same blocks several times: "Loop-Residual Neural Networks for Iterative Refinement" (2024,
// arXiv:2409.14199). The blocks [first, last) are a function f of the stream that predicts a
// residual:
//
//   x^(n) = x^(n-1) + f(x^(n-1)),  n = 1..N
//
// between the blocks before (once) and those after (once).

#include "residua/connections/connection.h"

namespace residua {

// Registers "loop". f contains the blocks' own residuals: output=stack adds the whole of it (the
// literal x + f(x)), output=delta only what the blocks changed, which is the plain network with
// tied weights. Rides every carrier; of a convolutional one the looped blocks must keep the shape.
//
// Options beyond the paper are named for what they do (`residua help loop`). With `tolerance` a
// token (row, image) whose loop changed it relatively less than that keeps its value at evaluation,
// and the loops end when all do; then the mean number of loops is reported as `loops`.
void add_loop_connections(Registry<Connection, Carrier, Random>& connections);

}  // namespace residua
