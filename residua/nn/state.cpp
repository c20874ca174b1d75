#include "residua/nn/state.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/io/safetensors.h"

namespace residua {

namespace {

void append_state(const torch::nn::Module& module, const std::string& prefix, NamedTensors& state) {
  for (const auto& p : module.named_parameters(false))
    if (p.value().defined()) state.emplace_back(prefix + p.key(), p.value());
  for (const auto& b : module.named_buffers(false))
    if (b.value().defined()) state.emplace_back(prefix + b.key(), b.value());
  for (const auto& child : module.named_children())
    append_state(*child.value(), prefix + child.key() + ".", state);
}

}  // namespace

NamedTensors state_dict(const torch::nn::Module& module) {
  NamedTensors state;
  append_state(module, "", state);
  return state;
}

void save_weights(const std::string& path, const torch::nn::Module& module,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<at::Tensor> kept;  // the views point into these
  std::vector<TensorView> views;
  for (const auto& [name, tensor] : state_dict(module)) {
    kept.push_back(tensor.detach().cpu().contiguous());
    views.push_back(to_view(name, kept.back()));
  }
  write_safetensors(path, views, metadata);
}

}  // namespace residua
