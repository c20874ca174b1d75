#pragma once
// Looks at solvers of differential equations as parts of networks ("Neural Ordinary Differential
// Equations", arXiv:1806.07366; "A Neural ODE Interpretation of Transformer Layers",
// arXiv:2212.06011).

#include "residua/analysis/probe.h"

namespace residua {

// ode-tolerance: evaluations and numerical error of a freshly initialised ODE-Net by the solver's
// tolerance. ode-adjoint: peak bytes, seconds and accuracy of gradients by the adjoint and through
// the steps, by the number of steps. ode-splitting: how far blocks one after the other and side by
// side differ when their branches are scaled by h.
void add_ode_probes(Registry<Probe>& probes);

// latent-ode, cnf, learn-physics: models that are trained inside the probe on generated data.
void add_dynamics_probes(Registry<Probe>& probes);

}  // namespace residua
