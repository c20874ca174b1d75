#pragma once
// Parameters of a module, grouped by how they learn.

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "residua/optim/options.h"

namespace torch::nn {
class Module;
}

namespace residua {

// Parameters that share a learning-rate scale and a weight decay; names[i] belongs to
// parameters[i].
struct ParameterGroup {
  std::vector<std::string> names;
  std::vector<at::Tensor> parameters;
  double lr_scale = 1;
  double weight_decay = 0;
};

// Every parameter that requires a gradient, in one group for each distinct (lr_scale,
// weight_decay), in the module's order. Without rules that makes two groups: what decays, and norms
// and biases (fewer than two dimensions), which do not, but for modules that choose themselves
// (nn/layer.h). Throws ErrorKind::invalid_argument for a
// rule that does not parse or matches no parameter.
std::vector<ParameterGroup> parameter_groups(const torch::nn::Module& module,
                                             const ParameterRules& rules = {});

// All parameters of the groups, one after the other.
std::vector<at::Tensor> all_parameters(const std::vector<ParameterGroup>& groups);

// The same without those whose name matches one of the shell patterns.
std::vector<at::Tensor> parameters_except(const std::vector<ParameterGroup>& groups,
                                          const std::vector<std::string>& patterns);

}  // namespace residua
