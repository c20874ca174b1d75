#pragma once
// Solving until something happens.

#include "residua/connections/ode.h"

namespace residua {

// g(t, y), a scalar whose change of sign is the event.
using OdeEventFunction = std::function<at::Tensor(double t, const at::Tensor& y)>;

struct OdeEvent {
  bool found = false;
  // Scalar (double) and state at the root, or at the limit. Both carry the gradient of the root
  // (by the implicit function theorem), where grad mode is enabled.
  at::Tensor time = {}, y = {};
};

// From (t0, y0) to the first root of g on the way to `limit`, found by bisection of the step's
// polynomial.
OdeEvent odeint_event(const OdeField& field, const at::Tensor& y0, double t0, double limit,
                      const OdeEventFunction& g, const OdeOptions& options = {},
                      OdeStats* stats = nullptr);

}  // namespace residua
