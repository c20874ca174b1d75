#pragma once
// Distributions on the plane that are easy to see and not easy to model.

#include <ATen/core/Tensor.h>

#include <array>

#include "residua/core/options.h"
#include "residua/core/random.h"

namespace residua {

enum class PlaneData { circles, moons, gaussians };

template <>
struct EnumNames<PlaneData> {
  static constexpr std::array names{"circles", "moons", "gaussians"};
};

// [n, 2] float32 within about [-4, 4]: two concentric circles, two half moons that grip each other,
// or eight Gaussians on a circle.
at::Tensor simulate_plane(PlaneData data, int64_t n, Random random);

}  // namespace residua
