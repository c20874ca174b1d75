#include "residua/data/simulate/plane.h"

#include <torch/torch.h>

#include <cmath>
#include <numbers>

namespace residua {

namespace {

std::pair<double, double> plane_point(PlaneData data, Random& random) {
  constexpr double kTurn = 2 * std::numbers::pi;
  const double angle = kTurn * random.uniform();
  switch (data) {
    case PlaneData::circles: {
      const double radius = random.bernoulli(0.5) ? 3.0 : 1.5;
      return {radius * std::cos(angle) + 0.12 * random.normal(),
              radius * std::sin(angle) + 0.12 * random.normal()};
    }
    case PlaneData::moons: {
      const bool upper = random.bernoulli(0.5);
      const double half = angle / 2;
      const double x = upper ? std::cos(half) : 1 - std::cos(half);
      const double y = upper ? std::sin(half) : 0.5 - std::sin(half);
      return {2 * x - 1 + 0.2 * random.normal(), 2 * y - 0.5 + 0.2 * random.normal()};
    }
    case PlaneData::gaussians: {
      const double place = kTurn * static_cast<double>(random.integer(0, 8)) / 8;
      return {2.8 * std::cos(place) + 0.35 * random.normal(),
              2.8 * std::sin(place) + 0.35 * random.normal()};
    }
  }
  return {};
}

}  // namespace

at::Tensor simulate_plane(PlaneData data, int64_t n, Random random) {
  at::Tensor points = torch::empty({n, 2});
  auto access = points.accessor<float, 2>();
  for (int64_t i = 0; i < n; ++i) {
    const auto [x, y] = plane_point(data, random);
    access[i][0] = static_cast<float>(x);
    access[i][1] = static_cast<float>(y);
  }
  return points;
}

}  // namespace residua
