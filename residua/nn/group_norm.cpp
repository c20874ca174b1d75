#include "residua/nn/group_norm.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/nn/observe.h"

namespace residua {

GroupNorm::GroupNorm(int64_t groups_, int64_t channels, double eps_)
    : torch::nn::Module("GroupNorm"), groups(groups_), eps(eps_) {
  if (groups < 1 || channels < 1 || channels % groups != 0)
    throw Error(ErrorKind::invalid_argument,
                {.where = "group_norm",
                 .rule = "the number of groups must divide the channels",
                 .received = fmt::format("{} groups of {} channels", groups, channels)});
  weight = register_parameter("weight", torch::ones({channels}));
  bias = register_parameter("bias", torch::zeros({channels}));
}

at::Tensor GroupNorm::forward(const at::Tensor& x) const {
  at::Tensor y = at::group_norm(x, groups, weight, bias, eps);
  observe(*this, x, y);
  return y;
}

void GroupNorm::pretty_print(std::ostream& stream) const {
  stream << fmt::format("GroupNorm({}, {})", groups, weight.size(0));
}

}  // namespace residua
