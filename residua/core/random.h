#pragma once
// Seeded random numbers. A Random is a plain value: pass it down, split it by name or number, never
// share one between threads. The same seed gives the same numbers on every machine and compiler.

#include <cstdint>
#include <numbers>
#include <string_view>
#include <utility>

namespace residua {

// SplitMix64 (Steele, Lea, Flood 2014): a 64-bit counter through a mixing function.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  // An independent stream for a named or numbered purpose; does not advance this one.
  Random split(std::string_view name) const;
  Random split(uint64_t index) const;

  uint64_t bits();
  double uniform();                            // in [0, 1)
  double uniform(double low, double high);     // in [low, high)
  int64_t integer(int64_t low, int64_t high);  // in [low, high), unbiased; needs low < high
  bool bernoulli(double p);
  double normal();                  // mean 0, variance 1 (Box-Muller)
  double gamma(double shape);       // Marsaglia and Tsang 2000; shape > 0
  double beta(double a, double b);  // by two gammas

  template <class Sequence>
  void shuffle(Sequence& items) {
    for (int64_t i = static_cast<int64_t>(items.size()) - 1; i > 0; --i)
      std::swap(items[i], items[integer(0, i + 1)]);
  }

  // For checkpoints.
  uint64_t state() const { return state_; }
  void set_state(uint64_t state) { state_ = state; }

 private:
  uint64_t state_;
};

// FNV-1a and the SplitMix64 finaliser; golden cards fill their tensors with these two.
uint64_t fnv1a64(std::string_view text);
uint64_t mix64(uint64_t z);

}  // namespace residua
