#include "residua/nn/conv.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/nn/init.h"
#include "residua/nn/observe.h"
#include "residua/nn/recompute.h"

namespace residua {

Conv2d::Conv2d(int64_t in, int64_t out, int64_t kernel, const Conv2dOptions& options,
               const Random& random)
    : WeightLayer("Conv2d"), options_(options) {
  const auto& [stride, padding, dilation, groups, with_bias, init] = options;
  if (in < 1 || out < 1 || kernel < 1 || stride < 1 || padding < 0 || dilation < 1 || groups < 1)
    throw Error(ErrorKind::invalid_argument,
                {.where = "conv2d",
                 .rule = "sizes must be positive",
                 .received = fmt::format(
                     "in {}, out {}, kernel {}, stride {}, padding {}, dilation {}, groups {}", in,
                     out, kernel, stride, padding, dilation, groups)});
  if (in % groups != 0 || out % groups != 0)
    throw Error(ErrorKind::invalid_argument,
                {.where = "conv2d",
                 .rule = "the number of groups must divide both channel counts",
                 .received = fmt::format("{} groups for {} -> {} channels", groups, in, out)});
  weight = register_parameter("weight", torch::empty({out, in / groups, kernel, kernel}));
  if (with_bias) bias = register_parameter("bias", torch::zeros({out}));
  const int64_t fan = kernel * kernel * (init == WeightInit::he_fan_out ? out : in / groups);
  fill_normal(weight.detach(), std::sqrt(2.0 / static_cast<double>(fan)), random);
}

at::Tensor Conv2d::forward(const at::Tensor& x) const {
  const auto& o = options_;
  at::Tensor y = product(
      [&] { return at::conv2d(x, weight, bias, o.stride, o.padding, o.dilation, o.groups); },
      [&](const at::Tensor& kept) {
        return conv2d_again(kept, x, weight, bias, {o.stride, o.padding, o.dilation, o.groups});
      });
  observe(*this, x, y);
  return y;
}

int64_t Conv2d::macs(const at::Tensor&, const at::Tensor& output) const {
  return output.numel() * (weight.numel() / weight.size(0));
}

void Conv2d::pretty_print(std::ostream& stream) const {
  const auto& o = options_;
  stream << fmt::format("Conv2d({} -> {}, {}x{}", weight.size(1) * o.groups, weight.size(0),
                        weight.size(2), weight.size(3));
  if (o.stride != 1) stream << fmt::format(", stride {}", o.stride);
  if (o.padding != 0) stream << fmt::format(", padding {}", o.padding);
  if (o.dilation != 1) stream << fmt::format(", dilation {}", o.dilation);
  if (o.groups != 1) stream << fmt::format(", groups {}", o.groups);
  stream << (bias.defined() ? ", bias)" : ")");
}

std::shared_ptr<Conv2d> conv2d(int64_t in, int64_t out, int64_t kernel,
                               const Conv2dOptions& options, const Random& random) {
  return std::make_shared<Conv2d>(in, out, kernel, options, random);
}

}  // namespace residua
