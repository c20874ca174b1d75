#pragma once
// What the steppers share.

#include "residua/connections/ode.h"
#include "residua/connections/ode_tableau.h"

namespace residua {

// y + h sum_i weights_i k_i
at::Tensor ode_combine(const at::Tensor& y, double h, const std::vector<double>& weights,
                       const std::vector<at::Tensor>& k);

// The stages k_i of one step, the first of which may be known.
std::vector<at::Tensor> ode_stages(const Tableau& tableau, const OdeField& field, double t,
                                   const at::Tensor& y, double h, const at::Tensor& first);

struct OdeProblem {
  OdeField field = {};  // counts its evaluations
  double t = 0;
  at::Tensor y = {};
  OdeOptions options = {};
  OdeStats* stats = nullptr;
  OdeNorm norm = {};
  int64_t steps = 0;

  void count_step();  // throws ErrorKind::limit after options.max_steps
};

std::unique_ptr<OdeStepper> make_fixed_stepper(OdeProblem problem);
std::unique_ptr<OdeStepper> make_adams_stepper(OdeProblem problem);
std::unique_ptr<OdeStepper> make_adaptive_stepper(OdeProblem problem);

// The length of the next step when the way to `limit` is cut into equal steps of at most `longest`;
// 0: one step.
double equal_step(double t, double limit, double longest);

}  // namespace residua
