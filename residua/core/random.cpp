#include "residua/core/random.h"

#include <cmath>

#include "residua/core/error.h"

namespace residua {

namespace {
constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;
}

uint64_t fnv1a64(std::string_view text) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

uint64_t mix64(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

Random Random::split(std::string_view name) const { return Random(mix64(state_ ^ fnv1a64(name))); }

Random Random::split(uint64_t index) const {
  return Random(mix64(mix64(state_) + (index + 1) * kGolden));
}

uint64_t Random::bits() { return mix64(state_ += kGolden); }

double Random::uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }

double Random::uniform(double low, double high) {
  const double value = low + (high - low) * uniform();
  return value < high ? value : std::nextafter(high, low);  // rounding may reach the open end
}

int64_t Random::integer(int64_t low, int64_t high) {
  if (low >= high)
    throw Error(ErrorKind::internal, {.where = "Random::integer", .rule = "needs low < high"});
  const uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  const uint64_t reject_below =
      -span % span;  // the first 2^64 mod span values would be drawn once too often
  uint64_t draw;
  do draw = bits();
  while (draw < reject_below);
  return low + static_cast<int64_t>(draw % span);
}

bool Random::bernoulli(double p) { return uniform() < p; }

double Random::normal() {
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

namespace {

// The logarithm, because for small shapes the draws themselves are too small for a double:
// Beta(0.01, 0.01) would be 0 / 0 (Marsaglia and Tsang 2000, with their step from shape + 1 for
// shapes below 1).
double log_gamma_draw(Random& random, double shape) {
  if (!(shape > 0))
    throw Error(ErrorKind::internal, {.where = "Random::gamma", .rule = "needs a shape above 0"});
  if (shape < 1) {
    const double u = 1 - random.uniform();
    return log_gamma_draw(random, shape + 1) + std::log(u) / shape;
  }
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = random.normal(), t = 1 + c * x;
    if (t <= 0) continue;
    const double v = t * t * t;
    if (std::log(1 - random.uniform()) < 0.5 * x * x + d - d * v + d * std::log(v))
      return std::log(d * v);
  }
}

}  // namespace

double Random::gamma(double shape) { return std::exp(log_gamma_draw(*this, shape)); }

double Random::beta(double a, double b) {
  const double x = log_gamma_draw(*this, a), y = log_gamma_draw(*this, b);
  return 1 / (1 + std::exp(y - x));
}

}  // namespace residua
