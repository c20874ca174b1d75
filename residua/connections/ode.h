#pragma once
// Solutions of dy/dt = f(t, y) as functions that autograd can follow: "Neural Ordinary Differential
// Equations" (Chen, Rubanova, Bettencourt, Duvenaud 2018, arXiv:1806.07366).
//
//   std::vector<at::Tensor> y = odeint(field, y0, {0, 0.5, 1}, {.method = OdeMethod::rk4, .step =
//   0.1});
//
// Gradients flow through the steps of the solver, as far as grad mode is enabled; the step sizes
// count as constants. ode_adjoint.h has gradients in constant memory, ode_event.h stops at events.

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "residua/core/options.h"

namespace residua {

// f(t, y), of the shape of y.
using OdeField = std::function<at::Tensor(double t, const at::Tensor& y)>;
// The size of an error that has been divided by its tolerance; 1 is just allowed.
using OdeNorm = std::function<double(const at::Tensor& scaled)>;

enum class OdeMethod {
  euler,
  midpoint,
  rk4,            // the classic one
  rk4_38,         // the 3/8 rule
  adams,          // Adams-Bashforth, started by rk4
  adams_moulton,  // its corrector iterated until it stands still
  dopri5,         // adaptive from here on
  bosh3,
  adaptive_heun,
};

template <>
struct EnumNames<OdeMethod> {
  static constexpr std::array names{"euler",         "midpoint", "rk4",   "rk4_38",       "adams",
                                    "adams_moulton", "dopri5",   "bosh3", "adaptive_heun"};
};

bool is_adaptive(OdeMethod method);

struct OdeOptions {
  OdeMethod method = OdeMethod::dopri5;
  double rtol = 1e-7, atol = 1e-9;
  double step = 0;        // fixed steps are at most so long; 0: one between two output times
  double first_step = 0;  // of adaptive methods; 0: by the rule of Hairer, Norsett, Wanner
  int64_t order = 4;      // of the Adams methods
  int64_t max_steps = 1 << 20;

  void fields(Fields& f);
};

struct OdeStats {
  int64_t evaluations = 0;  // of the field
  int64_t accepted = 0, rejected = 0;
};

// One accepted step and the polynomial between its ends.
struct OdeStep {
  double t0 = 0, t1 = 0;
  at::Tensor y0 = {}, y1 = {};
  at::Tensor f0 = {}, f1 = {};  // f1 may be undefined after a fixed step
  at::Tensor middle = {};       // undefined: the cubic of Hermite instead of a quartic

  at::Tensor at(double t) const;  // needs f1
};

// Takes steps from (t0, y0). `field` must outlive it.
class OdeStepper {
 public:
  virtual ~OdeStepper() = default;
  // One step towards `limit` and not beyond. Throws ErrorKind::limit when steps become too many or
  // too short, as they do where the solution is not finite.
  virtual OdeStep next(double limit) = 0;
};

// `stats` counts, where given; `norm` null: root of the mean square.
std::unique_ptr<OdeStepper> make_ode_stepper(const OdeField& field, double t0, const at::Tensor& y0,
                                             const OdeOptions& options, OdeStats* stats = nullptr,
                                             const OdeNorm& norm = {});

// The solution at times[0] (which is y0), times[1], ...; the times rise or fall. Throws
// ErrorKind::invalid_argument for times that do neither.
std::vector<at::Tensor> odeint(const OdeField& field, const at::Tensor& y0,
                               const std::vector<double>& times, const OdeOptions& options = {},
                               OdeStats* stats = nullptr, const OdeNorm& norm = {});

double rms_norm_of(const at::Tensor& scaled);

}  // namespace residua
