#pragma once
// What layers say about themselves beside their forward.

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>

#include "residua/core/options.h"

namespace residua {

// A layer that multiplies and accumulates: how often, for a forward that turned `input` into
// `output`.
class CountsMacs {
 public:
  virtual int64_t macs(const at::Tensor& input, const at::Tensor& output) const = 0;

 protected:
  ~CountsMacs() = default;
};

// A module that says which of its own parameters decay, where that is not the usual: matrices do,
// norms and biases do not.
class ChoosesDecay {
 public:
  virtual bool decays(const std::string& parameter, bool usual) const = 0;

 protected:
  ~ChoosesDecay() = default;
};

// Normal distributions for weights that feed a ReLU keep the signal's variance (He et al. 2015,
// arXiv:1502.01852) forwards with fan_in and backwards with fan_out.
enum class WeightInit {
  he_fan_out,  // convolutions normal(0, sqrt(2 / (out * k * k))), classifiers uniform in
               // +-1/sqrt(in)
  he_fan_in,  // convolutions normal(0, sqrt(2 / (in * k * k))), classifiers normal(0, sqrt(2 / in))
};

template <>
struct EnumNames<WeightInit> {
  static constexpr std::array names{"he_fan_out", "he_fan_in"};
};

}  // namespace residua
