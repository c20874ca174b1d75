#include "residua/connections/ode_event.h"

#include <torch/torch.h>

#include "residua/core/error.h"

namespace residua {

namespace {

constexpr int kBisections = 60;

double event_value(const OdeEventFunction& g, double t, const at::Tensor& y) {
  const at::NoGradGuard no_grad;
  return g(t, y).item<double>();
}

double root_of(const OdeEventFunction& g, const OdeStep& step, double g0) {
  const at::NoGradGuard no_grad;
  double low = step.t0, high = step.t1;
  for (int i = 0; i < kBisections; ++i) {
    const double middle = (low + high) / 2;
    if (event_value(g, middle, step.at(middle)) * g0 > 0)
      low = middle;
    else
      high = middle;
  }
  return high;
}

// t depends on y through g(t, y(t)) = 0: dt = -dg / (dg/dt along the solution).
OdeEvent differentiable_root(const OdeField& field, const OdeEventFunction& g, const OdeStep& step,
                             double t) {
  const at::Tensor y = step.at(t);
  OdeEvent event{.found = true, .time = at::full({}, t, at::kDouble), .y = y};
  if (!torch::GradMode::is_enabled() || !y.requires_grad()) return event;
  const double d = 1e-4 * (step.t1 - step.t0);
  const double rate =
      (event_value(g, t + d, step.at(t + d)) - event_value(g, t - d, step.at(t - d))) / (2 * d);
  const at::Tensor value = g(t, y);
  event.time = event.time - ((value - value.detach()) / rate).to(at::kDouble);
  const at::Tensor moved = (event.time - t).to(y.scalar_type());
  event.y = y + field(t, y).detach() * moved;
  return event;
}

}  // namespace

OdeEvent odeint_event(const OdeField& field, const at::Tensor& y0, double t0, double limit,
                      const OdeEventFunction& g, const OdeOptions& options, OdeStats* stats) {
  if (t0 == limit)
    throw Error(ErrorKind::invalid_argument,
                {.where = "ode", .rule = "an event needs a limit that is not its beginning"});
  const auto stepper = make_ode_stepper(field, t0, y0, options, stats);
  double before = event_value(g, t0, y0);
  OdeStep step{.t0 = t0, .t1 = t0, .y0 = y0, .y1 = y0};
  while (step.t1 != limit) {
    step = stepper->next(limit);
    const double after = event_value(g, step.t1, step.y1);
    if (before != 0 && before * after <= 0) {
      if (!step.f1.defined()) step.f1 = field(step.t1, step.y1);
      return differentiable_root(field, g, step, root_of(g, step, before));
    }
    before = after;
  }
  return {.found = false, .time = at::full({}, limit, at::kDouble), .y = step.y1};
}

}  // namespace residua
