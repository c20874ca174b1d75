#pragma once
// Backward error modulation: "All You Need is Beyond a Good Init" (Xie, Xiong, Pu 2017,
// arXiv:1703.01827). In the backward pass the error at each point of the stream is
// scaled towards the norm that it has at the point above, so that it neither vanishes nor explodes
// on its way down.

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

namespace residua {

// e_l: mean over the batch of the Euclidean norm of a sample's gradient.
double mean_error_norm(const at::Tensor& gradient);

// One backward pass. Points are numbered from the stream's begin upwards.
class ErrorPass {
 public:
  // rho_l = e_above / e_l, clipped to [1 / rho_max, rho_max]; 1: norms are measured only. With
  // `decay` > 0 e_l is decay * before[l] + (1 - decay) * e_l, where before[l] > 0.
  ErrorPass(double rho_max, double decay, std::vector<double> before);

  // Called when the lowest point, 0, has been reached.
  std::function<void(const ErrorPass&)> done = {};

  // Scales the gradient at a point; called from the highest point down.
  at::Tensor scaled(const at::Tensor& gradient, size_t point);

  const std::vector<double>& norms() const { return norms_; }  // as averaged; 0: not reached
  // Of the lowest over the highest point reached: after scaling, and as it would be without.
  double ratio() const { return highest_ > 0 ? above_ / highest_ : 1; }
  double ratio_without() const { return ratio() / product_; }

 private:
  double rho_max_, decay_;
  std::vector<double> norms_;
  double highest_ = 0, above_ = 0, product_ = 1;
};

// The tensor with a hook that scales its gradient by the pass; nothing is done to one that needs no
// gradient.
void modulate_error(const at::Tensor& x, std::shared_ptr<ErrorPass> pass, size_t point);

}  // namespace residua
