#pragma once
// Learning-rate schedules: a factor of the peak learning rate for every optimiser step.

#include <cstdint>
#include <vector>

#include "residua/core/registry.h"
#include "residua/optim/options.h"

namespace residua {

// Schedules hold no state, so a resumed run asks for the factor of its step and goes on.
class Schedule {
 public:
  virtual ~Schedule() = default;

  // Factor for the step with this index, 0 <= step < total_steps. Steps beyond the end get the last
  // factor.
  virtual double factor(int64_t step, int64_t total_steps, int64_t steps_per_epoch) const = 0;
};

// "constant", "cosine", "linear", "step", "onecycle".
Registry<Schedule>& schedules();

}  // namespace residua
