#pragma once
// "Fixup Initialization: Residual Learning Without Normalization" (Zhang, Dauphin, Ma 2019,
// arXiv:1901.09321): without any normalisation, with one step of training changing the network's
// output by as much whatever its depth.
//
//   1. the classifier and the last layer of every branch begin at 0;
//   2. the other weights of a branch begin at He's distribution times L^(-1/(2m-2)), with L
//      branches of m layers each;
//   3. a scalar bias (0) before every weight layer and activation, a scalar multiplier (1) after
//      the last layer of a branch.
//
// The merge is that of residual networks. The reference lets the scalars learn at a tenth of the
// rate and decays all parameters: optim.rules = ["*bias*: lr_scale=0.1", "*scale*: lr_scale=0.1"],
// optim.decay_norm_and_bias = true.

#include "residua/connections/connection.h"

namespace residua {

// L^(-1/(2m-2)); 1 where a branch has one layer, which is then the last.
double fixup_scale(int64_t branches, int64_t layers);

// fixup
void add_fixup_connections(Registry<Connection, Carrier, Random>& connections);

}  // namespace residua
