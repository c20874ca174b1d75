#include "residua/train/precision.h"

#include <ATen/autocast_mode.h>
#include <torch/torch.h>
#include <torch/version.h>

#include "residua/core/error.h"

namespace residua {

namespace {

constexpr int64_t kGrowthInterval = 2000;

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
bool autocast_enabled(bool cuda) {
  return at::autocast::is_autocast_enabled(cuda ? at::kCUDA : at::kCPU);
}
at::ScalarType autocast_dtype(bool cuda) {
  return at::autocast::get_autocast_dtype(cuda ? at::kCUDA : at::kCPU);
}
void set_autocast(bool cuda, bool enabled, at::ScalarType dtype) {
  at::autocast::set_autocast_dtype(cuda ? at::kCUDA : at::kCPU, dtype);
  at::autocast::set_autocast_enabled(cuda ? at::kCUDA : at::kCPU, enabled);
}
#else
bool autocast_enabled(bool cuda) {
  return cuda ? at::autocast::is_enabled() : at::autocast::is_cpu_enabled();
}
at::ScalarType autocast_dtype(bool cuda) {
  return cuda ? at::autocast::get_autocast_gpu_dtype() : at::autocast::get_autocast_cpu_dtype();
}
void set_autocast(bool cuda, bool enabled, at::ScalarType dtype) {
  if (cuda) {
    at::autocast::set_autocast_gpu_dtype(dtype);
    at::autocast::set_enabled(enabled);
  } else {
    at::autocast::set_autocast_cpu_dtype(dtype);
    at::autocast::set_cpu_enabled(enabled);
  }
}
#endif

}  // namespace

void check_amp(Amp amp, const at::Device& device) {
  if (amp == Amp::fp16 && !device.is_cuda())
    throw Error(
        ErrorKind::unsupported,
        {.where = "amp", .rule = "fp16 needs a CUDA device", .hint = "on the CPU use amp=bf16"});
}

AutocastScope::AutocastScope(Amp amp, const at::Device& device)
    : amp_(amp), cuda_(device.is_cuda()) {
  if (amp_ == Amp::off) return;
  was_enabled_ = autocast_enabled(cuda_);
  was_dtype_ = autocast_dtype(cuda_);
  at::autocast::increment_nesting();
  set_autocast(cuda_, true, amp_ == Amp::bf16 ? at::kBFloat16 : at::kHalf);
}

AutocastScope::~AutocastScope() {
  if (amp_ == Amp::off) return;
  // Weights that were cast are kept until the outermost scope ends.
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  set_autocast(cuda_, was_enabled_, was_dtype_);
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
