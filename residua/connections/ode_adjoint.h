#pragma once
// Gradients of solutions in memory that does not grow with the number of steps (Chen et al. 2018,
// section 2 and appendix B): the adjoint a(t) = dL/dy(t) obeys da/dt = -a^T df/dy, and is solved
// backwards together with y and the parameters' gradient.

#include "residua/connections/ode.h"

namespace residua {

struct AdjointStats {
  OdeStats forward, backward;  // of the last solution and the last gradient
};

struct AdjointOptions {
  OdeOptions forward = {};
  OdeOptions backward = {};
  // The error of the parameters' gradient does not shorten the backward steps: nothing depends on
  // it (Kidger, Chen, Lyons 2021, arXiv:2009.09457).
  bool seminorm = false;
  std::shared_ptr<AdjointStats> stats = {};
};

// As odeint, with times [T] (double) that may ask for a gradient too. `parameters` are all tensors
// besides y whose gradient is wanted; the field must compute the same each time it is called, also
// during backward. The gradient of a loss of gradients is not there.
std::vector<at::Tensor> odeint_adjoint(const OdeField& field, const at::Tensor& y0,
                                       const at::Tensor& times,
                                       const std::vector<at::Tensor>& parameters,
                                       const AdjointOptions& options = {});

}  // namespace residua
