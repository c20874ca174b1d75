#pragma once
// The trainer knows tasks, not models: a task says what a model's output is compared with, and how
// well it did.

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "residua/data/transform.h"
#include "residua/train/metrics/running_mean.h"

namespace torch::nn {
class Module;
}

namespace residua {

struct Batch;

// A module with its way of being called: module types share no virtual `forward`.
struct Network {
  std::shared_ptr<torch::nn::Module> module;
  std::function<at::Tensor(const at::Tensor&)> forward;
  // What the last forward says beside its output, given the loss of each sample [N], which carries
  // no gradient: numbers, appended to `metrics`, and a scalar to add to the loss (undefined: none).
  // May be empty.
  std::function<at::Tensor(const at::Tensor& sample_losses, Metrics& metrics)> extras = {};
  // Other outputs of the last forward that are to learn the same, with the weights of their losses.
  // May be empty; asked before `extras`.
  std::function<std::vector<std::pair<at::Tensor, double>>()> exits = {};
};

// Of any module with `at::Tensor forward(at::Tensor)`.
template <class M>
Network make_network(std::shared_ptr<M> module) {
  M* raw = module.get();
  return {std::move(module), [raw](const at::Tensor& x) { return raw->forward(x); }};
}

struct StepResult {
  at::Tensor loss;    // scalar, mean over the batch; carries the graph in Phase::train
  at::Tensor output;  // of the network, detached
  Metrics metrics;    // means over the batch, `loss` among them
};

// Adds the weighted losses of the network's exits to the loss, and their sum as `exit_loss` to the
// metrics. For training.
void add_exits(const Network& network, const std::function<at::Tensor(const at::Tensor&)>& loss_of,
               StepResult& result);
// Adds what the network says beside its output to the loss and the metrics; `sample_losses` [N].
void add_extras(const Network& network, const at::Tensor& sample_losses, StepResult& result);

class Task {
 public:
  virtual ~Task() = default;
  virtual StepResult step(const Network& network, const Batch& batch, Phase phase) const = 0;
  // The metric by which checkpoints are compared.
  virtual std::string best_metric() const = 0;
  virtual bool larger_is_better() const { return true; }
  // Metrics that follow from the means of the others but are no means themselves.
  virtual Metrics derived(const Metrics& means) const;
};

}  // namespace residua
