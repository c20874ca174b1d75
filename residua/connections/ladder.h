#pragma once
// Streams for branches whose weights lie on several ranks, which have to sum what they compute.
//
// "Ladder-residual: parallelism-aware architecture for accelerating large model inference with
// communication overlapping" (Zhang et al. 2025, arXiv:2501.06589): every branch reads a stream
// that lacks only the output of the branch just before it, x_t = x_{t-1} + f_t(x_{t-2}), so that
// the sum of that output is under way meanwhile. Its desync variant leaves sums out.

#include "residua/connections/connection.h"

namespace residua {

// ladder: one pending output; `last` or `blocks` name the blocks that are converted, the others
// are standard. A branch that changes the stream's shape, and any standard branch, reads the whole
// stream, and so does the first ladder branch after it.
//
// desync: the ranks sum after every `period`-th branch alone and keep streams of their own between:
// x_r <- x_r + y_r, or where they sum x_r <- sum over ranks (x_r / world + y_r). On one rank this
// is the residual network.
void add_ladder_connections(Registry<Connection, Carrier, Random>& connections);

}  // namespace residua
