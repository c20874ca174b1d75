#include "residua/nn/weight_standard.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <array>
#include <cmath>
#include <numbers>

#include "residua/core/error.h"
#include "residua/nn/init.h"
#include "residua/nn/observe.h"

namespace residua {

namespace {

constexpr size_t kActivations = EnumNames<Activation>::names.size();

// 1 / sqrt(Var act(Z)) by the trapezoidal rule; a grid point lies on the kink of ReLU.
double gain_by_quadrature(Activation act) {
  constexpr int64_t kPerUnit = 1 << 13, kReach = 10;
  const at::Tensor z = at::arange(-kReach * kPerUnit, kReach * kPerUnit + 1, at::kDouble) /
                       static_cast<double>(kPerUnit);
  const at::Tensor density =
      (-z.square() / 2).exp() / (std::sqrt(2 * std::numbers::pi) * static_cast<double>(kPerUnit));
  const at::Tensor y = activate(z, act);
  const double mean = (density * y).sum().item<double>();
  return 1 / std::sqrt((density * (y - mean).square()).sum().item<double>());
}

// To the size that gives ceil(size / stride) outputs without further padding.
at::Tensor pad_to_same(const at::Tensor& x, int64_t kernel, int64_t stride) {
  const auto missing = [&](int64_t size) {
    return std::max<int64_t>(0, ((size + stride - 1) / stride - 1) * stride + kernel - size);
  };
  const int64_t height = missing(x.size(2)), width = missing(x.size(3));
  if (height == 0 && width == 0) return x;
  return at::constant_pad_nd(x, {width / 2, width - width / 2, height / 2, height - height / 2});
}

void check_scaled_std_sizes(int64_t in, int64_t out, int64_t kernel, const ScaledStdOptions& o) {
  if (in < 1 || out < 1 || kernel < 1 || o.stride < 1 || o.padding < 0 || o.groups < 1 ||
      in % o.groups != 0 || out % o.groups != 0)
    throw Error(
        ErrorKind::invalid_argument,
        {.where = "scaled weight standardisation",
         .rule = "sizes must be positive and groups must divide both channel counts",
         .received = fmt::format("in {}, out {}, kernel {}, stride {}, padding {}, groups {}", in,
                                 out, kernel, o.stride, o.padding, o.groups)});
}

}  // namespace

double variance_gain(Activation act) {
  static const std::array gains = [] {
    std::array<double, kActivations> g{};
    for (size_t i = 0; i < g.size(); ++i) g[i] = gain_by_quadrature(static_cast<Activation>(i));
    return g;
  }();
  return gains[static_cast<size_t>(act)];
}

double published_variance_gain(Activation act) {
  switch (act) {
    case Activation::none: return 1;
    case Activation::relu: return 1.7139588594436646;
    case Activation::gelu: return 1.7015043497085571;
    case Activation::silu: return 1.7881293296813965;
    case Activation::tanh: return 1.5939117670059204;
    default: return variance_gain(act);
  }
}

at::Tensor standardised_weight(const at::Tensor& weight, const at::Tensor& gain, double scale,
                               double eps) {
  const int64_t fan_in = weight.numel() / weight.size(0);
  const at::Tensor rows = weight.reshape({weight.size(0), fan_in});
  const at::Tensor standard = at::layer_norm(rows, {fan_in}, {}, {}, eps);
  const double per_row = scale / std::sqrt(static_cast<double>(fan_in));
  return (standard * (gain.reshape({-1, 1}) * per_row)).reshape(weight.sizes());
}

ScaledStdConv2d::ScaledStdConv2d(int64_t in, int64_t out, int64_t kernel,
                                 const ScaledStdOptions& options, const Random& random)
    : WeightLayer("ScaledStdConv2d"), options_(options) {
  check_scaled_std_sizes(in, out, kernel, options);
  weight = register_parameter("weight", torch::empty({out, in / options.groups, kernel, kernel}));
  if (options.bias) bias = register_parameter("bias", torch::zeros({out}));
  gain = register_parameter("gain", torch::full({out, 1, 1, 1}, options.gain));
  const double fan_in = static_cast<double>(weight.numel() / out);
  fill_normal(weight.detach(), 1 / std::sqrt(fan_in), random);
}

at::Tensor ScaledStdConv2d::standardised() const {
  return standardised_weight(weight, gain, options_.gamma, options_.eps);
}

at::Tensor ScaledStdConv2d::forward(const at::Tensor& x) const {
  const auto& o = options_;
  const at::Tensor padded = o.same_padding ? pad_to_same(x, weight.size(2), o.stride) : x;
  at::Tensor y = at::conv2d(padded, standardised(), bias, o.stride, o.same_padding ? 0 : o.padding,
                            1, o.groups);
  observe(*this, x, y);
  return y;
}

int64_t ScaledStdConv2d::macs(const at::Tensor&, const at::Tensor& output) const {
  return output.numel() * (weight.numel() / weight.size(0));
}

void ScaledStdConv2d::pretty_print(std::ostream& stream) const {
  const auto& o = options_;
  stream << fmt::format("ScaledStdConv2d({} -> {}, {}x{}", weight.size(1) * o.groups,
                        weight.size(0), weight.size(2), weight.size(3));
  if (o.stride != 1) stream << fmt::format(", stride {}", o.stride);
  if (o.same_padding) stream << ", padding same";
  if (!o.same_padding && o.padding != 0) stream << fmt::format(", padding {}", o.padding);
  if (o.groups != 1) stream << fmt::format(", groups {}", o.groups);
  stream << (bias.defined() ? ", bias)" : ")");
}

ScaledStdLinear::ScaledStdLinear(int64_t in, int64_t out, const ScaledStdOptions& options,
                                 const Random& random)
    : WeightLayer("ScaledStdLinear"), options_(options) {
  check_scaled_std_sizes(in, out, 1, {});
  weight = register_parameter("weight", torch::empty({out, in}));
  if (options.bias) bias = register_parameter("bias", torch::zeros({out}));
  gain = register_parameter("gain", torch::full({out, 1}, options.gain));
  fill_normal(weight.detach(), 1 / std::sqrt(static_cast<double>(in)), random);
}

at::Tensor ScaledStdLinear::standardised() const {
  return standardised_weight(weight, gain, options_.gamma, options_.eps);
}

at::Tensor ScaledStdLinear::forward(const at::Tensor& x) const {
  at::Tensor y = at::linear(x, standardised(), bias);
  observe(*this, x, y);
  return y;
}

int64_t ScaledStdLinear::macs(const at::Tensor&, const at::Tensor& output) const {
  return output.numel() * weight.size(1);
}

void ScaledStdLinear::pretty_print(std::ostream& stream) const {
  stream << fmt::format("ScaledStdLinear({} -> {}{})", weight.size(1), weight.size(0),
                        bias.defined() ? ", bias" : "");
}

}  // namespace residua
