#include "residua/connections/generator_state.h"

#include <torch/torch.h>

namespace residua {

namespace {

at::Generator generator_of(const at::Device& device) {
  return at::globalContext().defaultGenerator(device);
}

at::Tensor get_generator_state(const at::Device& device) {
  at::Generator generator = generator_of(device);
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

}  // namespace

GeneratorState GeneratorState::present(at::TensorList tensors) {
  GeneratorState state;
  state.all_.push_back({at::kCPU, get_generator_state(at::kCPU)});
  for (const at::Tensor& t : tensors) {
    const bool known = std::any_of(state.all_.begin(), state.all_.end(),
                                   [&](const One& one) { return one.device == t.device(); });
    if (!known) state.all_.push_back({t.device(), get_generator_state(t.device())});
  }
  return state;
}

void GeneratorState::forget_if_unused() {
  std::erase_if(all_,
                [](const One& one) { return one.state.equal(get_generator_state(one.device)); });
}

void GeneratorState::restore() const {
  for (const One& one : all_) {
    at::Generator generator = generator_of(one.device);
    const std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(one.state);
  }
}

GeneratorState GeneratorState::present_of_same() const {
  GeneratorState state;
  for (const One& one : all_) state.all_.push_back({one.device, get_generator_state(one.device)});
  return state;
}

GeneratorScope::GeneratorScope(const GeneratorState& state) : outer_(state.present_of_same()) {
  state.restore();
}

GeneratorScope::~GeneratorScope() { outer_.restore(); }

}  // namespace residua
