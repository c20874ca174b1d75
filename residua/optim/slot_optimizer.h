#pragma once
// The common part of optimisers whose state is, for each parameter, a step count and some buffers
// of its shape.

#include <cstdint>
#include <functional>

#include "residua/optim/optimizer.h"

namespace residua {

class SlotOptimizer : public Optimizer {
 public:
  void step() final;
  NamedTensors state() const final;
  void load_state(const NamedTensors& state) final;

 protected:
  struct Slot {
    std::string name;
    at::Tensor parameter;
    double lr_scale = 1;
    double weight_decay = 0;
    int64_t steps = 0;  // taken before this one
    std::vector<at::Tensor>
        buffers;  // of the parameter's shape, type and memory layout; zero before the first step
  };

  // One buffer per name, which becomes the suffix of its state's name.
  SlotOptimizer(std::vector<ParameterGroup> groups, double lr,
                std::vector<std::string> buffer_names);

  // Steps elements [offset, offset + n) in memory order; called from several threads.
  using FlatStep = std::function<void(int64_t offset, int64_t n)>;

  // What one step does to a contiguous float32 parameter in CPU memory; `gradient` lies in memory
  // as the parameter does.
  virtual FlatStep flat_step(const Slot& slot, const at::Tensor& gradient) const = 0;

  // The same by tensor operations, for every other type and device.
  virtual void tensor_step(Slot& slot, const at::Tensor& gradient) const = 0;

 private:
  std::vector<std::string> buffer_names_;
  std::vector<Slot> slots_;
};

}  // namespace residua
