// Embedded Runge-Kutta methods that choose their steps by an estimate of the local error (Hairer,
// Norsett, Wanner, "Solving Ordinary Differential Equations I", II.4).

#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>

#include "residua/connections/ode_stepper.h"
#include "residua/core/error.h"

namespace residua {

namespace {

constexpr double kSafety = 0.9, kShrink = 0.2, kGrow = 10;

const Tableau& adaptive_tableau(OdeMethod method) {
  if (method == OdeMethod::bosh3) return bosh3_tableau();
  return method == OdeMethod::adaptive_heun ? adaptive_heun_tableau() : dopri5_tableau();
}

class AdaptiveStepper final : public OdeStepper {
 public:
  explicit AdaptiveStepper(OdeProblem problem)
      : p_(std::move(problem)), tableau_(adaptive_tableau(p_.options.method)) {}

  OdeStep next(double limit) override {
    const double direction = limit < p_.t ? -1 : 1;
    if (!slope_.defined()) slope_ = p_.field(p_.t, p_.y);
    if (length_ == 0) length_ = first_length(direction, std::abs(limit - p_.t));
    double shrunk = 0;  // of this step so far
    while (true) {
      p_.count_step();
      const double rest = std::abs(limit - p_.t), length = std::min(length_, rest);
      if (length < rest &&
          length < 16 * std::numeric_limits<double>::epsilon() *
                       std::max(std::abs(p_.t), std::numeric_limits<double>::min()))
        too_short();
      OdeStep step{.t0 = p_.t,
                   .t1 = length == rest ? limit : p_.t + direction * length,
                   .y0 = p_.y,
                   .y1 = {},
                   .f0 = slope_};
      const double ratio = attempt(step, direction * length);
      if (std::isfinite(ratio) && ratio <= 1) {
        length_ = length * (shrunk > 0 ? 1.0 : std::max(1.0, factor(ratio)));
        return accept(std::move(step));
      }
      if (p_.stats) ++p_.stats->rejected;
      shrunk = std::isfinite(ratio) ? std::min(1.0, factor(ratio)) : kShrink;
      length_ = length * shrunk;
    }
  }

 private:
  double factor(double ratio) const {
    if (ratio == 0) return kGrow;
    return std::clamp(kSafety * std::pow(ratio, -1.0 / (tableau_.error_order + 1)), kShrink, kGrow);
  }

  // Fills in the step; the estimated error over what is allowed.
  double attempt(OdeStep& step, double h) {
    std::vector<at::Tensor> k = ode_stages(tableau_, p_.field, p_.t, p_.y, h, slope_);
    step.y1 = ode_combine(p_.y, h, tableau_.b, k);
    if (tableau_.first_same_as_last) step.f1 = k.back();
    if (!tableau_.middle.empty()) step.middle = ode_combine(p_.y, h, tableau_.middle, k);
    const at::NoGradGuard no_grad;
    const at::Tensor error = ode_combine(at::zeros_like(p_.y), h, tableau_.error, k);
    return p_.norm(error / tolerance(at::maximum(p_.y.abs(), step.y1.abs())));
  }

  at::Tensor tolerance(const at::Tensor& size) const {
    return size * p_.options.rtol + p_.options.atol;
  }

  OdeStep accept(OdeStep step) {
    if (!step.f1.defined()) step.f1 = p_.field(step.t1, step.y1);
    if (p_.stats) ++p_.stats->accepted;
    p_.t = step.t1;
    p_.y = step.y1;
    slope_ = step.f1;
    return step;
  }

  // Such that an explicit Euler step would change y by about a hundredth of what matters.
  double first_length(double direction, double longest) {
    if (p_.options.first_step > 0) return std::min(p_.options.first_step, longest);
    const at::NoGradGuard no_grad;
    const at::Tensor scale = tolerance(p_.y.abs());
    const double d0 = p_.norm(p_.y / scale), d1 = p_.norm(slope_ / scale);
    const double h0 = std::min(d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1, longest);
    const at::Tensor there = p_.field(p_.t + direction * h0, p_.y + slope_ * (direction * h0));
    const double d2 = p_.norm((there - slope_) / scale) / h0;
    const double largest = std::max(d1, d2);
    const double h1 = largest <= 1e-15 ? std::max(1e-6, h0 * 1e-3)
                                       : std::pow(0.01 / largest, 1.0 / (tableau_.error_order + 1));
    return std::min({100 * h0, h1, longest});
  }

  [[noreturn]] void too_short() const {
    const bool finite =
        at::isfinite(p_.y).all().item<bool>() && at::isfinite(slope_).all().item<bool>();
    throw Error(
        ErrorKind::limit,
        {.where = "ode",
         .rule = fmt::format("steps of {} become too short at t = {:.6g}", tableau_.name, p_.t),
         .received = finite ? "a field that is not finite nearby, or tolerances below "
                              "rounding"
                            : "a state that is not finite",
         .hint = "larger tolerances, or double precision"});
  }

  OdeProblem p_;
  const Tableau& tableau_;
  at::Tensor slope_;   // f(t, y)
  double length_ = 0;  // of the next step; 0: not known yet
};

}  // namespace

std::unique_ptr<OdeStepper> make_adaptive_stepper(OdeProblem problem) {
  return std::make_unique<AdaptiveStepper>(std::move(problem));
}

}  // namespace residua
