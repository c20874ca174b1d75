#include "residua/optim/trainable.h"

#include <fnmatch.h>
#include <torch/torch.h>

#include "residua/core/error.h"

namespace residua {

void train_only(torch::nn::Module& module, const std::vector<std::string>& patterns) {
  if (patterns.empty()) return;
  std::vector<bool> used(patterns.size());
  for (const auto& parameter : module.named_parameters()) {
    bool learns = false;
    for (size_t i = 0; i < patterns.size(); ++i) {
      if (fnmatch(patterns[i].c_str(), parameter.key().c_str(), 0) != 0) continue;
      learns = used[i] = true;
    }
    at::Tensor tensor = parameter.value();  // the same one
    if (!learns) tensor.requires_grad_(false);
  }
  for (size_t i = 0; i < patterns.size(); ++i)
    if (!used[i])
      throw Error(ErrorKind::invalid_argument, {.where = "trainable",
                                                .rule = "matches no parameter of the model",
                                                .received = patterns[i]});
}

}  // namespace residua
