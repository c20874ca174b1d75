#include "residua/optim/slot_optimizer.h"

#include <ATen/Parallel.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <map>

#include "residua/core/error.h"

namespace residua {

namespace {

// Cuts between threads fall on cache lines of a parameter.
constexpr int64_t kStepAlign = 64;
constexpr int64_t kStepGrain = 1 << 15;

bool fits_flat_step(const at::Tensor& parameter) {
  return parameter.device().is_cpu() && parameter.scalar_type() == at::kFloat &&
         parameter.is_non_overlapping_and_dense();
}

// `tensor` laid out in memory as `like`.
at::Tensor laid_out_as(const at::Tensor& tensor, const at::Tensor& like) {
  if (tensor.strides() == like.strides()) return tensor;
  return at::empty_like(like).copy_(tensor);
}

// A parameter's step and where it begins on the common axis that the threads share.
struct FlatWork {
  std::function<void(int64_t, int64_t)> step;
  int64_t begin = 0;
  int64_t size = 0;
};

// Several thousand small parameters and a few big ones become one axis of elements, so that threads
// share it evenly.
void run_flat(const std::vector<FlatWork>& work) {
  if (work.empty()) return;
  const int64_t units = work.back().begin + (work.back().size + kStepAlign - 1) / kStepAlign;
  at::parallel_for(0, units, kStepGrain / kStepAlign, [&](int64_t begin, int64_t end) {
    auto item = std::upper_bound(work.begin(), work.end(), begin,
                                 [](int64_t at, const FlatWork& w) { return at < w.begin; }) -
                1;
    for (; item != work.end() && item->begin < end; ++item) {
      const int64_t from = std::max<int64_t>(begin - item->begin, 0) * kStepAlign;
      const int64_t to = std::min((end - item->begin) * kStepAlign, item->size);
      if (from < to) item->step(from, to - from);
    }
  });
}

}  // namespace

SlotOptimizer::SlotOptimizer(std::vector<ParameterGroup> groups, double lr,
                             std::vector<std::string> buffer_names)
    : Optimizer(std::move(groups), lr), buffer_names_(std::move(buffer_names)) {
  for (const ParameterGroup& group : this->groups()) {
    for (size_t i = 0; i < group.parameters.size(); ++i) {
      Slot slot{group.names[i], group.parameters[i], group.lr_scale, group.weight_decay, 0, {}};
      for (size_t b = 0; b < buffer_names_.size(); ++b)
        slot.buffers.push_back(at::zeros_like(slot.parameter.detach()));
      slots_.push_back(std::move(slot));
    }
  }
}

void SlotOptimizer::step() {
  const torch::NoGradGuard no_grad;
  std::vector<FlatWork> work;
  std::vector<at::Tensor> gradients;  // keeps relaid gradients alive
  int64_t begin = 0;
  for (Slot& slot : slots_) {
    at::Tensor gradient = slot.parameter.grad();
    if (!gradient.defined()) continue;
    if (gradient.is_sparse())
      throw Error(
          ErrorKind::unsupported,
          {.where = slot.name, .rule = "has a sparse gradient, which this optimiser cannot use"});
    for (at::Tensor& buffer : slot.buffers) buffer = laid_out_as(buffer, slot.parameter);
    if (fits_flat_step(slot.parameter) && gradient.scalar_type() == at::kFloat) {
      gradients.push_back(laid_out_as(gradient, slot.parameter));
      const int64_t size = slot.parameter.numel();
      work.push_back({flat_step(slot, gradients.back()), begin, size});
      begin += (size + kStepAlign - 1) / kStepAlign;
      slot.parameter.unsafeGetTensorImpl()->bump_version();
    } else {
      tensor_step(slot, gradient);
    }
  }
  run_flat(work);
  for (Slot& slot : slots_)
    if (slot.parameter.grad().defined()) ++slot.steps;
}

Optimizer::NamedTensors SlotOptimizer::state() const {
  NamedTensors named;
  for (const Slot& slot : slots_) {
    named.emplace_back(slot.name + ".steps", at::scalar_tensor(slot.steps, at::kLong));
    for (size_t b = 0; b < slot.buffers.size(); ++b)
      named.emplace_back(slot.name + "." + buffer_names_[b], slot.buffers[b]);
  }
  return named;
}

void SlotOptimizer::load_state(const NamedTensors& state) {
  const torch::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> given(state.begin(), state.end());
  const NamedTensors own = this->state();
  for (const auto& [name, tensor] : own) {
    const auto found = given.find(name);
    if (found == given.end())
      throw Error(ErrorKind::invalid_argument,
                  {.where = name,
                   .rule = "is missing from the optimiser's state",
                   .hint = "the state must come from the same optimiser and model"});
    if (found->second.sizes() != tensor.sizes())
      throw Error(ErrorKind::shape, {.where = name,
                                     .rule = "has another shape in the optimiser's state",
                                     .expected = c10::str(tensor.sizes()),
                                     .received = c10::str(found->second.sizes())});
  }
  for (const auto& [name, tensor] : given) {
    const bool known =
        std::any_of(own.begin(), own.end(), [&](const auto& item) { return item.first == name; });
    if (!known)
      throw Error(ErrorKind::invalid_argument,
                  {.where = name,
                   .rule = "is in the state but not in this optimiser",
                   .hint = "the state must come from the same optimiser and model"});
  }
  for (Slot& slot : slots_) {
    slot.steps = given.at(slot.name + ".steps").item<int64_t>();
    for (size_t b = 0; b < slot.buffers.size(); ++b)
      slot.buffers[b].copy_(given.at(slot.name + "." + buffer_names_[b]));
  }
}

}  // namespace residua
