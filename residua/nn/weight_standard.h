#pragma once
// Scaled weight standardisation: "Characterizing signal propagation to close the performance gap in
// unnormalized ResNets" (Brock, De, Smith 2021, arXiv:2101.08692), section 4:
//
//   W^_i = gain_i * gamma * (W_i - mean_i) / sqrt(var_i + eps) / sqrt(fan_in)
//
// for each output i over its fan_in weights. Inputs of variance 1 give outputs of variance 1 when
// they come from an activation whose constant is gamma.

#include <memory>

#include "residua/core/random.h"
#include "residua/nn/activation.h"
#include "residua/nn/weight_layer.h"

namespace residua {

// The constant that gives gamma * act(x) variance 1 for normal x, by quadrature to 1e-8: for ReLU
// sqrt(2 / (1 - 1 / pi)).
double variance_gain(Activation act);
// The same as sampled by the authors of NFNets, which published weights were trained with; that of
// gelu_tanh is computed.
double published_variance_gain(Activation act);

// `weight` [out, ...], `gain` [out] or [out, 1, ...]; `scale` is gamma.
at::Tensor standardised_weight(const at::Tensor& weight, const at::Tensor& gain, double scale,
                               double eps);

struct ScaledStdOptions {
  int64_t stride = 1;
  int64_t padding = 0;
  int64_t groups = 1;
  bool same_padding = false;  // TensorFlow's: as much as ceil(size / stride) outputs need, the odd
                              // pixel behind; `padding` is not used then
  bool bias = true;           // initially 0
  double gamma = 1;
  double gain = 1;  // initial
  double eps = 1e-6;
};

// Parameters: weight [out, in / groups, kernel, kernel], bias [out], gain [out, 1, 1, 1].
class ScaledStdConv2d final : public WeightLayer {
 public:
  ScaledStdConv2d(int64_t in, int64_t out, int64_t kernel, const ScaledStdOptions& options,
                  const Random& random);

  at::Tensor forward(const at::Tensor& x) const override;
  int64_t macs(const at::Tensor& input, const at::Tensor& output) const override;
  void pretty_print(std::ostream& stream) const override;
  at::Tensor standardised() const;  // what the images are convolved with

  at::Tensor gain;

 private:
  ScaledStdOptions options_;
};

// Parameters: weight [out, in], bias [out], gain [out, 1]. Options of convolutions have no effect.
class ScaledStdLinear final : public WeightLayer {
 public:
  ScaledStdLinear(int64_t in, int64_t out, const ScaledStdOptions& options, const Random& random);

  at::Tensor forward(const at::Tensor& x) const override;  // [..., in] -> [..., out]
  int64_t macs(const at::Tensor& input, const at::Tensor& output) const override;
  void pretty_print(std::ostream& stream) const override;
  at::Tensor standardised() const;

  at::Tensor gain;

 private:
  ScaledStdOptions options_;
};

}  // namespace residua
