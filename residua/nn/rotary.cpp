#include "residua/nn/rotary.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/nn/tracing.h"

namespace residua {

Rotary::Rotary(int64_t channels, double base) : channels_(channels), base_(base) {
  if (channels % 2 != 0)
    throw Error(ErrorKind::invalid_argument, {.where = "rotary positions",
                                              .rule = "turn pairs of channels",
                                              .expected = "an even number of channels of a head",
                                              .received = fmt::format("{}", channels)});
}

Rotary::Tables Rotary::tables(int64_t positions, const at::Tensor& like) const {
  const auto wide = at::TensorOptions(like.device()).dtype(at::kDouble);
  const at::Tensor rates =
      at::pow(base_, at::arange(0, channels_, 2, wide) / static_cast<double>(-channels_));
  const at::Tensor angles = at::outer(at::arange(positions, wide), rates).repeat({1, 2});
  return {angles.cos().to(like.scalar_type()), angles.sin().to(like.scalar_type())};
}

at::Tensor Rotary::apply(const at::Tensor& x, int64_t offset) const {
  const int64_t length = x.size(-2), needed = offset + length;
  Tables used = kept_;
  if (is_tracing())  // a graph computes them for its own length
    used = tables(needed, x);
  else if (!used.cos.defined() || used.cos.size(0) < needed || used.cos.device() != x.device() ||
           used.cos.scalar_type() != x.scalar_type())
    used = kept_ = tables(needed, x);
  const auto halves = x.chunk(2, -1);
  const at::Tensor turned = at::cat({-halves[1], halves[0]}, -1);
  return x * used.cos.narrow(0, offset, length) + turned * used.sin.narrow(0, offset, length);
}

}  // namespace residua
