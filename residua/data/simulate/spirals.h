#pragma once
// Two-dimensional spirals of both senses of rotation, as "Neural Ordinary Differential Equations"
// (arXiv:1806.07366, section 5.1) learns them from noisy points at irregular times.

#include <ATen/core/Tensor.h>

#include "residua/core/random.h"

namespace residua {

struct SpiralOptions {
  int64_t spirals = 100;
  int64_t points = 1000;  // of the whole curve, over equal times
  int64_t samples = 100;  // consecutive points of each spiral, from a random start
  double turns = 3;       // of the whole curve
  double a = 0, b = 0.3;  // radius a + b * angle, or a + 50 b / angle of those that turn inwards
  double noise = 0.3;     // standard deviation of what is added to the samples
};

struct Spirals {
  at::Tensor clean = {}, noisy = {};  // [spirals, samples, 2] float32
  at::Tensor times = {};              // [samples], from 0
};

// Half of the spirals turn each way.
Spirals simulate_spirals(const SpiralOptions& options, const Random& random);

}  // namespace residua
