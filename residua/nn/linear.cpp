#include "residua/nn/linear.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/nn/init.h"
#include "residua/nn/observe.h"
#include "residua/nn/recompute.h"

namespace residua {

Linear::Linear(int64_t in, int64_t out, const LinearOptions& options, const Random& random)
    : WeightLayer("Linear"), options_(options) {
  if (in < 1 || out < 1)
    throw Error(ErrorKind::invalid_argument, {.where = "linear",
                                              .rule = "sizes must be positive",
                                              .received = fmt::format("{} -> {}", in, out)});
  weight = register_parameter("weight", torch::empty({out, in}));
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  if (options.stddev > 0)
    fill_normal(weight.detach(), options.stddev, random.split("weight"));
  else if (options.init == WeightInit::he_fan_in)
    fill_normal(weight.detach(), std::sqrt(2.0) * bound, random.split("weight"));
  else
    fill_uniform(weight.detach(), bound, random.split("weight"));
  if (options.bias) {
    bias = register_parameter("bias", torch::zeros({out}));
    if (options.stddev == 0) fill_uniform(bias.detach(), bound, random.split("bias"));
  }
}

at::Tensor Linear::forward(const at::Tensor& x) const {
  at::Tensor y =
      product([&] { return at::linear(x, weight, bias); },
              [&](const at::Tensor& kept) { return linear_again(kept, x, weight, bias); });
  observe(*this, x, y);
  return y;
}

int64_t Linear::macs(const at::Tensor&, const at::Tensor& output) const {
  return output.numel() * weight.size(1);
}

void Linear::pretty_print(std::ostream& stream) const {
  stream << fmt::format("Linear({} -> {}{})", weight.size(1), weight.size(0),
                        bias.defined() ? ", bias" : "");
}

std::shared_ptr<Linear> linear(int64_t in, int64_t out, const LinearOptions& options,
                               const Random& random) {
  return std::make_shared<Linear>(in, out, options, random);
}

}  // namespace residua
