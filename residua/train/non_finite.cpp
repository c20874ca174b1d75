#include "residua/train/non_finite.h"

#include <torch/torch.h>

#include <map>

#include "residua/data/batch_source.h"
#include "residua/nn/observe.h"
#include "residua/train/precision.h"

namespace residua {

namespace {

bool all_finite(const at::Tensor& t) {
  return !t.defined() || !t.is_floating_point() || t.isfinite().all().item<bool>();
}

std::string module_path(const torch::nn::Module& root, const torch::nn::Module* wanted) {
  for (const auto& item : root.named_modules())
    if (item.value().get() == wanted) return item.key().empty() ? "the network" : item.key();
  return wanted->name();
}

}  // namespace

std::string first_non_finite(const Network& network, const Batch& batch, Amp amp) {
  if (!all_finite(batch.input)) return "the input";
  const torch::NoGradGuard no_grad;
  const torch::nn::Module* first = nullptr;
  {
    const ForwardObserver observer(
        [&](const torch::nn::Module& layer, const at::Tensor&, const at::Tensor& output) {
          if (first == nullptr && !all_finite(output)) first = &layer;
        });
    const AutocastScope autocast(amp, batch.input.device());
    network.forward(batch.input);
  }
  if (first == nullptr) return "the loss alone";
  std::string text = module_path(*network.module, first);
  const std::string own = first_non_finite_weight(*first);
  if (!own.empty()) text += ", whose " + own + " is not finite";
  return text;
}

std::string first_non_finite_weight(const torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  for (const auto& item : module.named_parameters())
    if (!all_finite(item.value())) return item.key();
  for (const auto& item : module.named_buffers())
    if (!all_finite(item.value())) return item.key();
  return {};
}

}  // namespace residua
