#pragma once
// The autocast mode of a thread as a value, so that something can be computed again as it was.

#include <ATen/core/Tensor.h>

namespace residua {

struct AutocastState {
  bool cpu = false, cuda = false;
  at::ScalarType cpu_type = at::kBFloat16, cuda_type = at::kHalf;

  static AutocastState present();
};

void set_autocast(const AutocastState& state);

// While it lives this thread computes under `state`. Casts of weights made meanwhile are not kept
// for others.
class AutocastStateScope {
 public:
  explicit AutocastStateScope(const AutocastState& state);
  ~AutocastStateScope();
  AutocastStateScope(const AutocastStateScope&) = delete;
  AutocastStateScope& operator=(const AutocastStateScope&) = delete;

 private:
  AutocastState outer_;
  bool outer_cache_;
};

}  // namespace residua
