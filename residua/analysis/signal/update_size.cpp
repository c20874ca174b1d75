#include "residua/analysis/signal/update_size.h"

#include <torch/torch.h>

#include <cmath>

namespace residua {

namespace {

// The norm of the gradient that was followed.
double descend(Model& model, const at::Tensor& x, const at::Tensor& labels, double lr) {
  model.zero_grad();
  at::cross_entropy_loss(model.forward(x), labels).backward();
  const at::NoGradGuard no_grad;
  double squares = 0;
  for (at::Tensor& p : model.parameters()) {
    if (!p.grad().defined()) continue;
    squares += p.grad().square().sum().item<double>();
    p.sub_(p.grad(), lr);
  }
  return std::sqrt(squares);
}

}  // namespace

UpdateSize update_size(Model& model, const at::Tensor& x, const at::Tensor& labels, double lr,
                       int64_t warm) {
  for (int64_t i = 0; i < warm; ++i) descend(model, x, labels, lr);
  const auto logits = [&] {
    const at::NoGradGuard no_grad;
    return model.forward(x);
  };
  const at::Tensor before = logits();
  UpdateSize size{.gradient = descend(model, x, labels, lr)};
  size.change = (logits() - before).norm(2, {1}).mean().item<double>();
  if (!std::isfinite(size.change)) size.change = INFINITY;
  return size;
}

}  // namespace residua
