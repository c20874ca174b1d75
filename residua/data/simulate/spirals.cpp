#include "residua/data/simulate/spirals.h"

#include <torch/torch.h>

#include <cmath>
#include <numbers>

#include "residua/core/error.h"

namespace residua {

namespace {

struct Point {
  double x, y;
};

Point spiral_point(const SpiralOptions& o, bool inwards, double angle) {
  if (!inwards) {
    const double r = o.a + o.b * angle;
    return {r * std::cos(angle) + 5, r * std::sin(angle)};
  }
  const double last = 2 * std::numbers::pi * o.turns, z = last + 1 - angle;
  const double r = o.a + o.b * 50 / z;
  return {r * std::cos(z) - 5, r * std::sin(z)};
}

}  // namespace

Spirals simulate_spirals(const SpiralOptions& o, const Random& random) {
  if (o.spirals < 1 || o.samples < 1 || o.samples >= o.points)
    throw Error(ErrorKind::invalid_argument,
                {.where = "spirals", .rule = "needs fewer samples than points, and both positive"});
  Spirals s{.clean = torch::empty({o.spirals, o.samples, 2}), .noisy = {}, .times = {}};
  s.noisy = torch::empty_like(s.clean);
  const double last = 2 * std::numbers::pi * o.turns;
  const double spacing = last / static_cast<double>(o.points - 1);
  auto clean = s.clean.accessor<float, 3>(), noisy = s.noisy.accessor<float, 3>();
  for (int64_t i = 0; i < o.spirals; ++i) {
    Random own = random.split(static_cast<uint64_t>(i));
    const int64_t start = own.integer(0, o.points - o.samples);
    for (int64_t j = 0; j < o.samples; ++j) {
      const Point p = spiral_point(o, i % 2 == 0, static_cast<double>(start + j) * spacing);
      clean[i][j][0] = static_cast<float>(p.x);
      clean[i][j][1] = static_cast<float>(p.y);
      for (int c = 0; c < 2; ++c)
        noisy[i][j][c] = clean[i][j][c] + static_cast<float>(o.noise * own.normal());
    }
  }
  s.times = torch::arange(o.samples, at::kDouble) * spacing;
  return s;
}

}  // namespace residua
