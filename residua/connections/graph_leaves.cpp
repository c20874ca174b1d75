#include "residua/connections/graph_leaves.h"

#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/torch.h>

#include <unordered_set>

namespace residua {

std::vector<at::Tensor> graph_leaves(const std::vector<at::Tensor>& roots) {
  std::vector<at::Tensor> leaves;
  std::unordered_set<torch::autograd::Node*> seen;
  std::vector<torch::autograd::Node*> open;
  for (const at::Tensor& root : roots)
    if (root.grad_fn()) open.push_back(root.grad_fn().get());
  while (!open.empty()) {
    torch::autograd::Node* node = open.back();
    open.pop_back();
    if (!seen.insert(node).second) continue;
    if (const auto* leaf = dynamic_cast<torch::autograd::AccumulateGrad*>(node))
      leaves.push_back(leaf->variable);
    for (const auto& edge : node->next_edges())
      if (edge.function) open.push_back(edge.function.get());
  }
  return leaves;
}

}  // namespace residua
