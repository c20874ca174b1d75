#include "residua/connections/error_modulation.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

namespace residua {

double mean_error_norm(const at::Tensor& gradient) {
  return gradient.detach().flatten(1).norm(2, {1}).mean().item<double>();
}

ErrorPass::ErrorPass(double rho_max, double decay, std::vector<double> before)
    : rho_max_(rho_max), decay_(decay), norms_(std::move(before)) {}

at::Tensor ErrorPass::scaled(const at::Tensor& gradient, size_t point) {
  const double measured = mean_error_norm(gradient);
  if (!(measured > 0) || !std::isfinite(measured)) return gradient;
  double& norm = norms_[point];
  norm = decay_ > 0 && norm > 0 ? decay_ * norm + (1 - decay_) * measured : measured;
  const double rho = highest_ > 0 ? std::clamp(above_ / norm, 1 / rho_max_, rho_max_) : 1;
  if (highest_ == 0) highest_ = norm;
  above_ = norm * rho;
  product_ *= rho;
  if (point == 0 && done) done(*this);
  return rho == 1 ? gradient : gradient * rho;
}

void modulate_error(const at::Tensor& x, std::shared_ptr<ErrorPass> pass, size_t point) {
  if (!x.requires_grad()) return;
  x.register_hook([pass = std::move(pass), point](at::Tensor gradient) {
    const at::NoGradGuard no_grad;
    return pass->scaled(gradient, point);
  });
}

}  // namespace residua
