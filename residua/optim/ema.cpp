#include "residua/optim/ema.h"

#include <torch/nn/module.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <map>

#include "residua/core/error.h"

namespace residua {

namespace {

constexpr const char* kUpdatesName = "ema.updates";

[[noreturn]] void ema_state_differs(const std::string& name, const std::string& rule) {
  throw Error(ErrorKind::invalid_argument,
              {.where = name, .rule = rule, .hint = "the state must come from the same model"});
}

}  // namespace

Ema::Ema(torch::nn::Module& module, EmaOptions options) : options_(options) {
  const torch::NoGradGuard no_grad;
  for (const auto& item : module.named_parameters())
    pairs_.push_back({item.key(), item.value(), item.value().detach().clone()});
  for (const auto& item : module.named_buffers())
    pairs_.push_back({item.key(), item.value(), item.value().detach().clone()});
}

double Ema::decay() const {
  if (!options_.warmup) return options_.decay;
  const double n = static_cast<double>(updates_);
  return std::min(options_.decay, (1 + n) / (10 + n));
}

void Ema::update() {
  if (swapped_)
    throw Error(ErrorKind::internal,
                {.where = "ema", .rule = "cannot update while the module holds the averages"});
  const torch::NoGradGuard no_grad;
  const double fresh = 1 - decay();
  for (Pair& pair : pairs_) {
    if (pair.average.is_floating_point()) {
      pair.average.lerp_(pair.value.detach(), fresh);
    } else {
      pair.average.copy_(pair.value);
    }
  }
  ++updates_;
}

void Ema::swap() {
  const torch::NoGradGuard no_grad;
  for (Pair& pair : pairs_) {
    at::Tensor held = pair.value.detach();  // shares the storage that set_data lets go of
    pair.value.set_data(pair.average);
    pair.average = held;
  }
  swapped_ = !swapped_;
}

Ema::NamedTensors Ema::state() const {
  NamedTensors named;
  for (const Pair& pair : pairs_)
    named.emplace_back(pair.name, swapped_ ? pair.value.detach() : pair.average);
  named.emplace_back(kUpdatesName, at::scalar_tensor(updates_, at::kLong));
  return named;
}

void Ema::load_state(const NamedTensors& state) {
  const torch::NoGradGuard no_grad;
  const std::map<std::string, at::Tensor> given(state.begin(), state.end());
  const NamedTensors own = this->state();
  for (const auto& [name, tensor] : own) {
    const auto found = given.find(name);
    if (found == given.end()) ema_state_differs(name, "is missing from the averages' state");
    if (found->second.sizes() != tensor.sizes())
      throw Error(ErrorKind::shape, {.where = name,
                                     .rule = "has another shape in the averages' state",
                                     .expected = c10::str(tensor.sizes()),
                                     .received = c10::str(found->second.sizes())});
  }
  for (const auto& [name, tensor] : given)
    if (std::none_of(own.begin(), own.end(), [&](const auto& item) { return item.first == name; }))
      ema_state_differs(name, "is in the state but not in this model");
  for (const auto& [name, tensor] : own) {
    at::Tensor destination = tensor;
    if (name != kUpdatesName) destination.copy_(given.at(name));
  }
  updates_ = given.at(kUpdatesName).item<int64_t>();
}

}  // namespace residua
