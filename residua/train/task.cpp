#include "residua/train/task.h"

#include <torch/torch.h>

namespace residua {

void add_extras(const Network& network, const at::Tensor& sample_losses, StepResult& result) {
  if (!network.extras) return;
  const at::Tensor penalty = network.extras(sample_losses.detach(), result.metrics);
  if (!penalty.defined()) return;
  result.loss = result.loss + penalty;
  result.metrics.push_back({"penalty", penalty.item<double>()});
}

}  // namespace residua
