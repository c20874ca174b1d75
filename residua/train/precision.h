#pragma once
// Mixed precision: autocast, and the loss scaling that 16-bit floats with 5 exponent bits need
// (Micikevicius et al. 2018, "Mixed Precision Training").

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <vector>

#include "residua/core/json.h"
#include "residua/nn/autocast_state.h"
#include "residua/train/options.h"

namespace residua {

// Throws ErrorKind::unsupported for fp16 on the CPU, whose operators lack it.
void check_amp(Amp amp, const at::Device& device);

// While it lives, this thread's operators on `device` run in the reduced precision where that is
// safe.
class AutocastScope {
 public:
  AutocastScope(Amp amp, const at::Device& device);
  ~AutocastScope();
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  Amp amp_;
  AutocastState before_;
};

// Multiplies the loss so that small gradients do not vanish in fp16. The factor halves when a
// gradient overflowed (that step is left out) and doubles after 2,000 good steps. A disabled scaler
// changes nothing.
class LossScaler {
 public:
  explicit LossScaler(bool enabled) : enabled_(enabled) {}

  at::Tensor scale(const at::Tensor& loss) const { return enabled_ ? loss.mul(scale_) : loss; }
  // Divides the gradients by the factor and adapts it. False: some gradient is not finite, do not
  // step.
  bool unscale(const std::vector<at::Tensor>& parameters);

  double factor() const { return enabled_ ? scale_ : 1; }
  Json state() const { return {scale_, good_steps_}; }
  void load_state(const Json& state);

 private:
  bool enabled_;
  double scale_ = 65536;
  int64_t good_steps_ = 0;  // since the factor changed
};

}  // namespace residua
