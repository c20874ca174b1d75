#pragma once
// The stream of normaliser-free networks: "Characterizing signal propagation to close the
// performance gap in unnormalized ResNets" (Brock, De, Smith 2021, arXiv:2101.08692):
//
//   x <- S(x) + alpha * f(x / beta),   beta^2 = Var(x) as the network's shape predicts it
//
// Var(x0) = 1 and every branch f keeps variance 1, so that each site adds alpha^2; where the stream
// changes its shape, S starts from the scaled input and the variance begins again at 1.

#include "residua/connections/connection.h"

namespace residua {

// Variance of the stream before each site, and after the last one.
std::vector<double> norm_free_variances(const std::vector<Site>& sites, double alpha);

// nf: rides convolutional networks of pre-activation order, and MLPs.
void add_norm_free_connections(Registry<Connection, Carrier, Random>& connections);

}  // namespace residua
