#pragma once
// The state of libtorch's generators, so that the same random numbers can be drawn again.

#include <ATen/core/Tensor.h>

#include <vector>

namespace residua {

// Of the CPU's generator and of those of the devices that the tensors lie on.
class GeneratorState {
 public:
  static GeneratorState present(at::TensorList tensors);
  // Forgets the states of generators that have not been asked since.
  void forget_if_unused();
  void restore() const;
  GeneratorState present_of_same() const;

 private:
  struct One {
    at::Device device;
    at::Tensor state;
  };
  std::vector<One> all_;
};

// While it lives random numbers are drawn from `state` on; then the generators go on as before.
class GeneratorScope {
 public:
  explicit GeneratorScope(const GeneratorState& state);
  ~GeneratorScope();
  GeneratorScope(const GeneratorScope&) = delete;
  GeneratorScope& operator=(const GeneratorScope&) = delete;

 private:
  GeneratorState outer_;
};

}  // namespace residua
