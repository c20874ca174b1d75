#include "residua/connections/ode.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/connections/ode_stepper.h"
#include "residua/core/error.h"

namespace residua {

bool is_adaptive(OdeMethod method) { return method >= OdeMethod::dopri5; }

void OdeOptions::fields(Fields& f) {
  const Range positive{.min = 0, .open_min = true}, not_negative{.min = 0};
  f.add("method", method, "euler to adams_moulton take fixed steps, the others adapt them");
  f.add("rtol", rtol, "error of an adaptive step over the solution's size", not_negative);
  f.add("atol", atol, "error of an adaptive step that is always allowed", positive);
  f.add("step", step, "longest fixed step; 0: one step", not_negative);
  f.add("first_step", first_step, "of adaptive methods; 0: chosen by the field", not_negative);
  f.add("order", order, "of the Adams methods", {.min = 1, .max = 5});
  f.add("max_steps", max_steps, "more of them are an error", {.min = 1});
}

double rms_norm_of(const at::Tensor& scaled) {
  if (scaled.numel() == 0) return 0;
  return std::sqrt(scaled.square().mean().item<double>());
}

at::Tensor ode_combine(const at::Tensor& y, double h, const std::vector<double>& weights,
                       const std::vector<at::Tensor>& k) {
  at::Tensor sum = y;
  for (size_t i = 0; i < weights.size(); ++i)
    if (weights[i] != 0) sum = at::add(sum, k[i], h * weights[i]);
  return sum;
}

std::vector<at::Tensor> ode_stages(const Tableau& tableau, const OdeField& field, double t,
                                   const at::Tensor& y, double h, const at::Tensor& first) {
  std::vector<at::Tensor> k;
  for (size_t i = 0; i < tableau.c.size(); ++i) {
    if (i == 0 && first.defined())
      k.push_back(first);
    else
      k.push_back(field(t + tableau.c[i] * h, ode_combine(y, h, tableau.a[i], k)));
  }
  return k;
}

double equal_step(double t, double limit, double longest) {
  const double rest = limit - t;
  if (longest == 0) return rest;
  // A rest that rounding made a little longer than whole steps is no step more.
  return rest / std::max(1.0, std::ceil(std::abs(rest) / longest - 1e-6));
}

void OdeProblem::count_step() {
  if (steps++ < options.max_steps) return;
  throw Error(ErrorKind::limit, {.where = "ode",
                                 .rule = fmt::format("needs too many steps at t = {:.6g}", t),
                                 .expected = fmt::format("at most {}", options.max_steps),
                                 .hint = "the tolerances may be too small for this field"});
}

// The quartic through y0, y(1/2), y1 with slopes f0, f1, or the cubic of Hermite.
at::Tensor OdeStep::at(double t) const {
  const double h = t1 - t0, s = (t - t0) / h;
  const at::Tensor cubic = y0 * ((1 + 2 * s) * (1 - s) * (1 - s)) + y1 * (s * s * (3 - 2 * s)) +
                           f0 * (h * s * (1 - s) * (1 - s)) + f1 * (h * s * s * (s - 1));
  if (!middle.defined()) return cubic;
  const at::Tensor half = (y0 + y1) * 0.5 + (f0 - f1) * (h / 8);
  const double bump = 16 * s * s * (1 - s) * (1 - s);  // 1 in the middle, flat at both ends
  return cubic + (middle - half) * bump;
}

std::unique_ptr<OdeStepper> make_ode_stepper(const OdeField& field, double t0, const at::Tensor& y0,
                                             const OdeOptions& options, OdeStats* stats,
                                             const OdeNorm& norm) {
  OdeProblem problem{.field = field,
                     .t = t0,
                     .y = y0,
                     .options = options,
                     .stats = stats,
                     .norm = norm ? norm : rms_norm_of};
  if (stats)
    problem.field = [field, stats](double t, const at::Tensor& y) {
      ++stats->evaluations;
      return field(t, y);
    };
  if (is_adaptive(options.method)) return make_adaptive_stepper(std::move(problem));
  if (options.method == OdeMethod::adams || options.method == OdeMethod::adams_moulton)
    return make_adams_stepper(std::move(problem));
  return make_fixed_stepper(std::move(problem));
}

std::vector<at::Tensor> odeint(const OdeField& field, const at::Tensor& y0,
                               const std::vector<double>& times, const OdeOptions& options,
                               OdeStats* stats, const OdeNorm& norm) {
  bool rises = true, falls = true, finite = true;
  for (size_t i = 0; i < times.size(); ++i) {
    finite = finite && std::isfinite(times[i]);
    if (i > 0) rises = rises && times[i] > times[i - 1];
    if (i > 0) falls = falls && times[i] < times[i - 1];
  }
  if (times.empty() || !finite || !(rises || falls))
    throw Error(ErrorKind::invalid_argument,
                {.where = "ode.times",
                 .rule = "must rise or fall strictly, and be at least one",
                 .received = fmt::format("{}", fmt::join(times, ", "))});
  std::vector<at::Tensor> solution{y0};
  if (times.size() == 1) return solution;
  const auto stepper = make_ode_stepper(field, times.front(), y0, options, stats, norm);
  OdeStep step{.t0 = times.front(), .t1 = times.front(), .y0 = y0, .y1 = y0};
  for (size_t i = 1; i < times.size(); ++i) {
    // Adaptive steps end where they like; what is asked for between is read off the polynomial.
    const double limit = is_adaptive(options.method) ? times.back() : times[i];
    while (rises ? step.t1 < times[i] : step.t1 > times[i]) step = stepper->next(limit);
    solution.push_back(step.t1 == times[i] ? step.y1 : step.at(times[i]));
  }
  return solution;
}

}  // namespace residua
