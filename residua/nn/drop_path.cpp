#include "residua/nn/drop_path.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"

namespace residua {

at::Tensor drop_path(const at::Tensor& y, double rate, bool training) {
  if (rate == 0 || !training) return y;
  std::vector<int64_t> shape(static_cast<size_t>(y.dim()), 1);
  shape.front() = y.size(0);
  const double keep = 1 - rate;
  return y * at::empty(shape, y.options().requires_grad(false)).bernoulli_(keep).div_(keep);
}

std::vector<double> drop_path_rates(double last, int64_t depth) {
  std::vector<double> rates;
  for (int64_t i = 0; i < depth; ++i)
    rates.push_back(depth > 1 ? last * static_cast<double>(i) / static_cast<double>(depth - 1) : 0);
  return rates;
}

DropPath::DropPath(double rate_) : torch::nn::Module("DropPath"), rate(rate_) {
  if (!(rate >= 0 && rate < 1))
    throw Error(ErrorKind::invalid_argument, {.where = "drop path",
                                              .rule = "the rate must be in [0, 1)",
                                              .received = fmt::format("{}", rate)});
}

void DropPath::pretty_print(std::ostream& stream) const {
  stream << fmt::format("DropPath({})", rate);
}

}  // namespace residua
