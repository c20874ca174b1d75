#pragma once
// Probes of signals in fresh and in trained networks.

#include "residua/analysis/probe.h"

namespace residua {

// signal-propagation: moments of the stream after each site, and the gradient's norm, of networks
//   with first weights on normal numbers, or of a trained one (`of = "JOB"`). Series variance (with
//   the connection's prediction), squared_mean, mean, branch_variance, gradient over sites.
//   Metrics: {variance, squared_mean, branch_variance, gradient}_{first, last}, squared_mean_growth
//   (last over first), gradient_ratio (first over last), prediction_error (largest of |measured /
//   predicted - 1|; where there is a prediction), telescoping_error.
// update-size: by how much one step of gradient descent moves the logits, for several values of one
//   option, say the depth. Series change and gradient. Metrics: change_{VALUE}, spread (largest
//   over smallest), growth (last over first).
// weight-spectrum: singular values of the weights of every branch, as filters. Series largest,
//   smallest. Metrics: largest, smallest (over all), orthonormality_error (mean of |W^T W - I|_F).
void add_signal_propagation_probe(Registry<Probe>& probes);
void add_update_size_probe(Registry<Probe>& probes);
void add_weight_spectrum_probe(Registry<Probe>& probes);

}  // namespace residua
