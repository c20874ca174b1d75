// Runge-Kutta methods with steps of equal length.

#include <torch/torch.h>

#include "residua/connections/ode_stepper.h"

namespace residua {

namespace {

const Tableau& fixed_tableau(OdeMethod method) {
  switch (method) {
    case OdeMethod::midpoint: return midpoint_tableau();
    case OdeMethod::rk4: return rk4_tableau();
    case OdeMethod::rk4_38: return rk4_38_tableau();
    default: return euler_tableau();
  }
}

class FixedStepper final : public OdeStepper {
 public:
  explicit FixedStepper(OdeProblem problem)
      : p_(std::move(problem)), tableau_(fixed_tableau(p_.options.method)) {}

  OdeStep next(double limit) override {
    p_.count_step();
    const double h = equal_step(p_.t, limit, p_.options.step);
    const std::vector<at::Tensor> k = ode_stages(tableau_, p_.field, p_.t, p_.y, h, {});
    OdeStep step{.t0 = p_.t, .t1 = p_.t + h, .y0 = p_.y, .y1 = {}, .f0 = k[0]};
    if (std::abs(limit - step.t1) < 1e-9 * std::abs(h)) step.t1 = limit;
    step.y1 = ode_combine(p_.y, h, tableau_.b, k);
    if (p_.stats) ++p_.stats->accepted;
    p_.t = step.t1;
    p_.y = step.y1;
    return step;
  }

 private:
  OdeProblem p_;
  const Tableau& tableau_;
};

}  // namespace

std::unique_ptr<OdeStepper> make_fixed_stepper(OdeProblem problem) {
  return std::make_unique<FixedStepper>(std::move(problem));
}

}  // namespace residua
