#include "residua/nn/rotary.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"

namespace residua {

Rotary::Rotary(int64_t channels, double base) : channels_(channels), base_(base) {
  if (channels % 2 != 0)
    throw Error(ErrorKind::invalid_argument, {.where = "rotary positions",
                                              .rule = "turn pairs of channels",
                                              .expected = "an even number of channels of a head",
                                              .received = fmt::format("{}", channels)});
}

at::Tensor Rotary::apply(const at::Tensor& x, int64_t offset) const {
  const int64_t length = x.size(-2), needed = offset + length;
  if (!cos_.defined() || cos_.size(0) < needed || cos_.device() != x.device() ||
      cos_.scalar_type() != x.scalar_type()) {
    const auto wide = at::TensorOptions(x.device()).dtype(at::kDouble);
    const at::Tensor rates =
        at::pow(base_, at::arange(0, channels_, 2, wide) / static_cast<double>(-channels_));
    const at::Tensor angles = at::outer(at::arange(needed, wide), rates).repeat({1, 2});
    cos_ = angles.cos().to(x.scalar_type());
    sin_ = angles.sin().to(x.scalar_type());
  }
  const auto halves = x.chunk(2, -1);
  const at::Tensor turned = at::cat({-halves[1], halves[0]}, -1);
  return x * cos_.narrow(0, offset, length) + turned * sin_.narrow(0, offset, length);
}

}  // namespace residua
