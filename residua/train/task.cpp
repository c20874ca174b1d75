#include "residua/train/task.h"

#include <torch/torch.h>

namespace residua {

Metrics Task::derived(const Metrics&) const { return {}; }

void add_exits(const Network& network, const std::function<at::Tensor(const at::Tensor&)>& loss_of,
               StepResult& result) {
  if (!network.exits) return;
  at::Tensor sum;
  for (const auto& [output, weight] : network.exits()) {
    const at::Tensor loss = weight * loss_of(output);
    sum = sum.defined() ? sum + loss : loss;
  }
  if (!sum.defined()) return;
  result.loss = result.loss + sum;
  result.metrics.push_back({"exit_loss", sum.item<double>()});
}

void add_extras(const Network& network, const at::Tensor& sample_losses, StepResult& result) {
  if (!network.extras) return;
  const at::Tensor penalty = network.extras(sample_losses.detach(), result.metrics);
  if (!penalty.defined()) return;
  result.loss = result.loss + penalty;
  result.metrics.push_back({"penalty", penalty.item<double>()});
}

}  // namespace residua
