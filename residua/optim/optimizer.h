#pragma once
// Optimisers over parameter groups.
//
//   auto optimizer = optimizers().create({"sgd", {{"momentum", 0.9}}}, parameter_groups(model,
//   rules)); optimizer->set_lr(0.1 * schedule->factor(step, total, per_epoch)); loss.backward();
//   optimizer->step();
//   optimizer->zero_grad();

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "residua/core/registry.h"
#include "residua/optim/parameter_groups.h"

namespace residua {

class Optimizer {
 public:
  using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

  virtual ~Optimizer() = default;

  // Moves every parameter that has a gradient, at the learning rate lr() times its group's scale.
  virtual void step() = 0;

  // All that a resumed run needs besides the parameters, by name ("fc.weight.momentum"). The
  // tensors share memory with the optimiser: copy or write them before the next step.
  virtual NamedTensors state() const = 0;

  // Takes over what state() gave. Throws ErrorKind::invalid_argument naming what is missing or
  // unknown and ErrorKind::shape for another shape; then the optimiser is as it was.
  virtual void load_state(const NamedTensors& state) = 0;

  // Drops the gradients (they become undefined), which is cheaper than filling them with zeros.
  void zero_grad();

  double lr() const { return lr_; }
  void set_lr(double lr) { lr_ = lr; }
  const std::vector<ParameterGroup>& groups() const { return groups_; }

 protected:
  Optimizer(std::vector<ParameterGroup> groups, double lr);

 private:
  std::vector<ParameterGroup> groups_;
  double lr_;
};

// "sgd", "adamw". Their steps equal PyTorch's to rounding.
Registry<Optimizer, std::vector<ParameterGroup>>& optimizers();

}  // namespace residua
