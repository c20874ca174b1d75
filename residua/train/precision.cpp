#include "residua/train/precision.h"

#include <ATen/autocast_mode.h>
#include <torch/torch.h>

#include "residua/core/error.h"

namespace residua {

namespace {

constexpr int64_t kGrowthInterval = 2000;

}  // namespace

void check_amp(Amp amp, const at::Device& device) {
  if (amp == Amp::fp16 && !device.is_cuda())
    throw Error(
        ErrorKind::unsupported,
        {.where = "amp", .rule = "fp16 needs a CUDA device", .hint = "on the CPU use amp=bf16"});
}

AutocastScope::AutocastScope(Amp amp, const at::Device& device) : amp_(amp) {
  const bool cuda = device.is_cuda();
  if (amp_ == Amp::off) return;
  before_ = AutocastState::present();
  AutocastState now = before_;
  (cuda ? now.cuda : now.cpu) = true;
  (cuda ? now.cuda_type : now.cpu_type) = amp_ == Amp::bf16 ? at::kBFloat16 : at::kHalf;
  at::autocast::increment_nesting();
  set_autocast(now);
}

AutocastScope::~AutocastScope() {
  if (amp_ == Amp::off) return;
  // Weights that were cast are kept until the outermost scope ends.
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  set_autocast(before_);
}

bool LossScaler::unscale(const std::vector<at::Tensor>& parameters) {
  if (!enabled_) return true;
  const torch::NoGradGuard no_grad;
  at::Tensor spoiled;
  for (const at::Tensor& p : parameters) {
    if (!p.grad().defined()) continue;
    p.mutable_grad().div_(scale_);
    const at::Tensor here = p.grad().isfinite().all().logical_not();
    spoiled = spoiled.defined() ? spoiled.logical_or(here) : here;
  }
  if (spoiled.defined() && spoiled.item<bool>()) {
    scale_ /= 2;
    good_steps_ = 0;
    return false;
  }
  if (++good_steps_ == kGrowthInterval) {
    scale_ *= 2;
    good_steps_ = 0;
  }
  return true;
}

void LossScaler::load_state(const Json& state) {
  scale_ = state.at(0).get<double>();
  good_steps_ = state.at(1).get<int64_t>();
}

}  // namespace residua
