#pragma once
// Continuous normalising flows: along dz/dt = f(z, t) the density changes by d log p / dt =
// -tr(df/dz) ("Neural Ordinary Differential Equations", arXiv:1806.07366, section 4).
//
//   Cnf flow({.dimension = 2}, random);
//   loss = -flow.log_density(x).mean();     // maximum likelihood
//   points = flow.sample(1000);             // from the base, a standard normal distribution

#include <torch/nn/module.h>

#include <memory>

#include "residua/connections/ode_adjoint.h"
#include "residua/core/random.h"
#include "residua/nn/linear.h"

namespace residua {

struct CnfOptions {
  int64_t dimension = 2;
  int64_t width = 64;        // planar functions
  int64_t hyper_width = 32;  // of the network that gives their parameters at a time
  double end = 1;            // the flow runs over [0, end]
  OdeOptions ode = {.method = OdeMethod::dopri5, .rtol = 1e-5, .atol = 1e-5};
  bool adjoint = true;
};

// f(z, t) = 1/M sum_m s_m u_m tanh(w_m . z + b_m) with s, u, w, b of a network in t (equation 10),
// s in (0, 1).
class PlanarField final : public torch::nn::Module {
 public:
  PlanarField(const CnfOptions& options, const Random& random);

  struct Value {
    at::Tensor f;      // [N, d]
    at::Tensor trace;  // [N] of df/dz
  };
  Value forward(double t, const at::Tensor& z) const;

 private:
  int64_t dimension_, width_;
  std::shared_ptr<Linear> fc1_, fc2_, fc3_;
};

// tr(df/dz) [N] of any field f [N, d] of z [N, d] whose rows are independent, in d backwards; `z`
// asks for a gradient. Can be differentiated again.
at::Tensor exact_trace(const at::Tensor& f, const at::Tensor& z);

class Cnf final : public torch::nn::Module {
 public:
  Cnf(const CnfOptions& options, const Random& random);

  at::Tensor log_density(const at::Tensor& x);  // [N, d] -> [N], in nats
  at::Tensor sample(int64_t n);                 // [n, d], by torch's generator
  // From time `from` to time `to`: points and what has to be added to their log density.
  std::pair<at::Tensor, at::Tensor> transport(const at::Tensor& z, double from, double to);

  const OdeStats& last_forward() const { return stats_->forward; }

 private:
  CnfOptions options_;
  std::shared_ptr<PlanarField> field_;
  std::shared_ptr<AdjointStats> stats_ = std::make_shared<AdjointStats>();
};

}  // namespace residua
