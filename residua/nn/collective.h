#pragma once
// Ranks that compute one network together, each with a part of the weights, and sum what they have.
// train/distributed connects processes; a network sees this interface alone.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

namespace residua {

// A sum on its way.
class Arrival {
 public:
  virtual ~Arrival() = default;
  // Returns when the tensor holds the sum. Throws ErrorKind::io when another rank is lost.
  virtual void wait() = 0;
};

class Collective {
 public:
  virtual ~Collective() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t world() const = 0;
  // Begins to replace `x`, contiguous and without gradient, by its sum over the ranks, which all
  // call this in the same order. `x` is neither read nor written until wait() has returned.
  virtual std::shared_ptr<Arrival> start_sum(const at::Tensor& x) = 0;
  virtual int64_t sums() const = 0;  // started so far

  void sum(const at::Tensor& x) { start_sum(x)->wait(); }
};

}  // namespace residua
