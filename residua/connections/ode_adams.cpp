// Multistep methods: Adams-Bashforth, and Adams-Moulton as predictor and corrector.

#include <fmt/format.h>
#include <torch/torch.h>

#include <deque>

#include "residua/connections/ode_stepper.h"
#include "residua/core/error.h"

namespace residua {

namespace {

constexpr int kMostCorrections = 30;

class AdamsStepper final : public OdeStepper {
 public:
  explicit AdamsStepper(OdeProblem problem)
      : p_(std::move(problem)), implicit_(p_.options.method == OdeMethod::adams_moulton) {}

  OdeStep next(double limit) override {
    p_.count_step();
    const double h = equal_step(p_.t, limit, p_.options.step);
    if (std::abs(h - h_) > 1e-6 * std::abs(h)) past_.clear();  // the weights are of equal steps
    h_ = h;
    past_.push_front(p_.field(p_.t, p_.y));
    OdeStep step{.t0 = p_.t, .t1 = p_.t + h, .y0 = p_.y, .y1 = {}, .f0 = past_.front()};
    if (std::abs(limit - step.t1) < 1e-9 * std::abs(h)) step.t1 = limit;
    const int order = static_cast<int>(p_.options.order);
    const int known = static_cast<int>(past_.size());
    if (known < (implicit_ ? order - 1 : order))
      step.y1 = start(h);
    else
      step.y1 = implicit_ ? corrected(step, h, order) : predicted(h, order);
    if (known >= 5) past_.pop_back();
    if (p_.stats) ++p_.stats->accepted;
    p_.t = step.t1;
    p_.y = step.y1;
    return step;
  }

 private:
  at::Tensor start(double h) const {
    const auto k = ode_stages(rk4_tableau(), p_.field, p_.t, p_.y, h, past_.front());
    return ode_combine(p_.y, h, rk4_tableau().b, k);
  }

  at::Tensor predicted(double h, int order) const {
    return ode_combine(p_.y, h, adams_bashforth_weights(order), {past_.begin(), past_.end()});
  }

  // The fixed point of y1 = y + h (w_0 f(t1, y1) + sum of the past).
  at::Tensor corrected(const OdeStep& step, double h, int order) const {
    at::Tensor y1 = predicted(h, std::min(order, static_cast<int>(past_.size())));
    for (int i = 0; i < kMostCorrections; ++i) {
      std::vector<at::Tensor> k{p_.field(step.t1, y1)};
      k.insert(k.end(), past_.begin(), past_.end());
      const at::Tensor better = ode_combine(p_.y, h, adams_moulton_weights(order), k);
      const bool stands = change(better, y1) <= 1;
      y1 = better;
      if (stands) return y1;
    }
    throw Error(
        ErrorKind::limit,
        {.where = "ode",
         .rule = fmt::format("the corrector of adams_moulton does not settle at t = {:.6g}", p_.t),
         .expected = fmt::format("at most {} corrections", kMostCorrections),
         .hint = "shorten ode.step"});
  }

  double change(const at::Tensor& a, const at::Tensor& b) const {
    const at::NoGradGuard no_grad;
    return p_.norm((a - b) / (p_.options.atol + p_.options.rtol * at::maximum(a.abs(), b.abs())));
  }

  OdeProblem p_;
  bool implicit_;
  double h_ = 0;
  std::deque<at::Tensor> past_;  // f at the steps before, newest first
};

}  // namespace

std::unique_ptr<OdeStepper> make_adams_stepper(OdeProblem problem) {
  return std::make_unique<AdamsStepper>(std::move(problem));
}

}  // namespace residua
