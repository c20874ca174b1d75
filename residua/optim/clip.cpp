#include "residua/optim/clip.h"

#include <ATen/Parallel.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/kernels/optimizer_step.h"

namespace residua {

namespace {

constexpr int64_t kNormBlock = 1 << 16;

// Blocks are fixed and added in order, whoever computes them.
double squared_norm(const at::Tensor& gradient) {
  const bool flat = gradient.device().is_cpu() && gradient.scalar_type() == at::kFloat &&
                    gradient.is_non_overlapping_and_dense();
  if (!flat) return std::pow(gradient.norm().item<double>(), 2);
  const float* values = gradient.data_ptr<float>();
  const int64_t n = gradient.numel(), blocks = (n + kNormBlock - 1) / kNormBlock;
  std::vector<double> sums(static_cast<size_t>(blocks));
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b)
      sums[b] = kernels::sum_of_squares(values + b * kNormBlock,
                                        std::min(kNormBlock, n - b * kNormBlock));
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

void check_positive(const char* where, double value) {
  if (!(value > 0))
    throw Error(ErrorKind::invalid_argument,
                {.where = where, .rule = "must be positive", .received = std::to_string(value)});
}

}  // namespace

double grad_norm(const std::vector<at::Tensor>& parameters) {
  double total = 0;
  for (const at::Tensor& parameter : parameters)
    if (parameter.grad().defined()) total += squared_norm(parameter.grad());
  return std::sqrt(total);
}

double clip_grad_norm(const std::vector<at::Tensor>& parameters, double max_norm) {
  check_positive("max_norm", max_norm);
  const torch::NoGradGuard no_grad;
  const double norm = grad_norm(parameters);
  const double scale = max_norm / (norm + 1e-6);
  if (!(scale >= 1))  // NaN scales too, so that a spoiled gradient stays visible
    for (const at::Tensor& parameter : parameters)
      if (parameter.grad().defined()) parameter.grad().mul_(scale);
  return norm;
}

void clip_grad_value(const std::vector<at::Tensor>& parameters, double limit) {
  check_positive("limit", limit);
  const torch::NoGradGuard no_grad;
  for (const at::Tensor& parameter : parameters)
    if (parameter.grad().defined()) parameter.grad().clamp_(-limit, limit);
}

namespace {

// [units], of a tensor laid out in any way.
at::Tensor unit_norms(const at::Tensor& t) {
  if (t.dim() < 2) return t.norm().reshape({1});
  std::vector<int64_t> inner;
  for (int64_t d = 1; d < t.dim(); ++d) inner.push_back(d);
  return t.norm(2, inner, /*keepdim=*/true);
}

}  // namespace

void clip_agc(const std::vector<at::Tensor>& parameters, double lambda, double eps) {
  check_positive("lambda", lambda);
  check_positive("eps", eps);
  const torch::NoGradGuard no_grad;
  for (const at::Tensor& parameter : parameters) {
    const at::Tensor& gradient = parameter.grad();
    if (!gradient.defined()) continue;
    const at::Tensor most = unit_norms(parameter.detach()).clamp_min(eps).mul_(lambda);
    const at::Tensor norm = unit_norms(gradient);
    // A norm that is not a number compares false and leaves the gradient visibly spoiled.
    const at::Tensor factor = at::where(norm > most, most / norm, at::ones_like(norm));
    if (gradient.dim() == 0)
      gradient.mul_(factor.squeeze());
    else
      gradient.mul_(factor);
  }
}

}  // namespace residua
