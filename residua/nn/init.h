#pragma once
// Filling weights from a `Random`, never from torch's global generator: the numbers depend on the
// generator alone, not on the number of threads.

#include <ATen/core/Tensor.h>

#include "residua/core/random.h"

namespace residua {

// Normal numbers of mean 0. The tensor is float32 or float64, on the CPU and contiguous, as after
// construction.
void fill_normal(const at::Tensor& tensor, double stddev, const Random& random);

// Uniform numbers in [-bound, bound), under the same conditions.
void fill_uniform(const at::Tensor& tensor, double bound, const Random& random);

// While one lives, layers built on this thread leave their weights unset: for models whose weights
// are read from a file next, or of which only the shapes matter.
class SkipInitialization {
 public:
  SkipInitialization();
  ~SkipInitialization();
  SkipInitialization(const SkipInitialization&) = delete;
  SkipInitialization& operator=(const SkipInitialization&) = delete;

 private:
  bool outer_;
};

}  // namespace residua
