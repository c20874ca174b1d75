#include "residua/nn/autocast_state.h"

#include <ATen/autocast_mode.h>
#include <torch/version.h>

namespace residua {

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
void set_autocast(const AutocastState& s) {
  at::autocast::set_autocast_dtype(at::kCPU, s.cpu_type);
  at::autocast::set_autocast_dtype(at::kCUDA, s.cuda_type);
  at::autocast::set_autocast_enabled(at::kCPU, s.cpu);
  at::autocast::set_autocast_enabled(at::kCUDA, s.cuda);
}
#else
void set_autocast(const AutocastState& s) {
  at::autocast::set_autocast_cpu_dtype(s.cpu_type);
  at::autocast::set_autocast_gpu_dtype(s.cuda_type);
  at::autocast::set_cpu_enabled(s.cpu);
  at::autocast::set_enabled(s.cuda);
}
#endif

#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
AutocastState AutocastState::present() {
  return {at::autocast::is_autocast_enabled(at::kCPU), at::autocast::is_autocast_enabled(at::kCUDA),
          at::autocast::get_autocast_dtype(at::kCPU), at::autocast::get_autocast_dtype(at::kCUDA)};
}
#else
AutocastState AutocastState::present() {
  return {at::autocast::is_cpu_enabled(), at::autocast::is_enabled(),
          at::autocast::get_autocast_cpu_dtype(), at::autocast::get_autocast_gpu_dtype()};
}
#endif

AutocastStateScope::AutocastStateScope(const AutocastState& state)
    : outer_(AutocastState::present()), outer_cache_(at::autocast::is_autocast_cache_enabled()) {
  at::autocast::set_autocast_cache_enabled(false);
  set_autocast(state);
}

AutocastStateScope::~AutocastStateScope() {
  set_autocast(outer_);
  at::autocast::set_autocast_cache_enabled(outer_cache_);
}

}  // namespace residua
