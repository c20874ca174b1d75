#include "residua/models/dynamics/cnf.h"

#include <torch/torch.h>

#include <cmath>
#include <numbers>

namespace residua {

PlanarField::PlanarField(const CnfOptions& o, const Random& random)
    : torch::nn::Module("PlanarField"), dimension_(o.dimension), width_(o.width) {
  const int64_t numbers = width_ * (2 * dimension_ + 2);  // w, u, b, s
  fc1_ = register_module("fc1", linear(1, o.hyper_width, {}, random.split("fc1")));
  fc2_ = register_module("fc2", linear(o.hyper_width, o.hyper_width, {}, random.split("fc2")));
  fc3_ = register_module("fc3", linear(o.hyper_width, numbers, {}, random.split("fc3")));
}

PlanarField::Value PlanarField::forward(double t, const at::Tensor& z) const {
  const at::Tensor time = at::full({1, 1}, t, z.options().requires_grad(false));
  const at::Tensor p = fc3_->forward(fc2_->forward(fc1_->forward(time).tanh()).tanh()).squeeze(0);
  const int64_t block = width_ * dimension_;
  const at::Tensor w = p.narrow(0, 0, block).view({width_, dimension_});
  const at::Tensor b = p.narrow(0, 2 * block, width_);
  const at::Tensor s =
      p.narrow(0, 2 * block + width_, width_).sigmoid() / static_cast<double>(width_);
  const at::Tensor u = p.narrow(0, block, block).view({width_, dimension_}) * s.unsqueeze(1);
  const at::Tensor h = at::addmm(b, z, w.t()).tanh();
  // df/dz = sum_m u_m (1 - h_m^2) w_m^T
  return {h.mm(u), (1 - h.square()).mv((u * w).sum(1))};
}

at::Tensor exact_trace(const at::Tensor& f, const at::Tensor& z) {
  at::Tensor trace;
  for (int64_t i = 0; i < z.size(1); ++i) {
    const at::Tensor row = torch::autograd::grad({f.select(1, i).sum()}, {z}, {}, c10::nullopt,
                                                 /*create_graph=*/true)[0];
    const at::Tensor term = row.select(1, i);
    trace = trace.defined() ? trace + term : term;
  }
  return trace;
}

Cnf::Cnf(const CnfOptions& options, const Random& random)
    : torch::nn::Module("Cnf"), options_(options) {
  field_ = register_module("field", std::make_shared<PlanarField>(options_, random.split("field")));
}

std::pair<at::Tensor, at::Tensor> Cnf::transport(const at::Tensor& z, double from, double to) {
  // The last column is the change of the log density.
  const int64_t d = options_.dimension;
  const OdeField field = [f = field_, d](double t, const at::Tensor& s) {
    const PlanarField::Value v = f->forward(t, s.narrow(1, 0, d));
    return at::cat({v.f, -v.trace.unsqueeze(1)}, 1);
  };
  const at::Tensor start = at::cat({z, at::zeros({z.size(0), 1}, z.options())}, 1);
  at::Tensor end;
  if (options_.adjoint && torch::GradMode::is_enabled()) {
    end = odeint_adjoint(field, start, torch::tensor({from, to}, at::kDouble), field_->parameters(),
                         {.forward = options_.ode, .backward = options_.ode, .stats = stats_})
              .back();
  } else {
    stats_->forward = {};
    end = odeint(field, start, {from, to}, options_.ode, &stats_->forward).back();
  }
  return {end.narrow(1, 0, d), end.select(1, d)};
}

at::Tensor Cnf::log_density(const at::Tensor& x) {
  // Backwards in time to the base; what the way there adds is what the way back takes away.
  const auto [z, change] = transport(x, options_.end, 0);
  const double constant = 0.5 * std::log(2 * std::numbers::pi);
  return -0.5 * z.square().sum(1) - constant * static_cast<double>(options_.dimension) - change;
}

at::Tensor Cnf::sample(int64_t n) {
  const at::NoGradGuard no_grad;
  const at::Tensor z = torch::randn({n, options_.dimension}, parameters().front().options());
  return transport(z, 0, options_.end).first;
}

}  // namespace residua
