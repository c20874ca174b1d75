#include "residua/optim/sgd.h"

#include <torch/types.h>

#include "residua/core/error.h"
#include "residua/kernels/optimizer_step.h"
#include "residua/optim/slot_optimizer.h"

namespace residua {

namespace {

class Sgd final : public SlotOptimizer {
 public:
  Sgd(std::vector<ParameterGroup> groups, const SgdOptions& options)
      : SlotOptimizer(std::move(groups), options.lr,
                      options.momentum > 0 ? std::vector<std::string>{"momentum"}
                                           : std::vector<std::string>{}),
        options_(options) {}

 private:
  FlatStep flat_step(const Slot& slot, const at::Tensor& gradient) const override {
    const kernels::SgdStep step{.lr = static_cast<float>(lr() * slot.lr_scale),
                                .momentum = static_cast<float>(options_.momentum),
                                .dampening = static_cast<float>(options_.dampening),
                                .weight_decay = static_cast<float>(slot.weight_decay),
                                .nesterov = options_.nesterov,
                                .first = slot.steps == 0};
    float* p = slot.parameter.data_ptr<float>();
    const float* g = gradient.data_ptr<float>();
    float* b = slot.buffers.empty() ? nullptr : slot.buffers[0].data_ptr<float>();
    return [=](int64_t offset, int64_t n) {
      kernels::sgd_step(p + offset, g + offset, b ? b + offset : b, n, step);
    };
  }

  void tensor_step(Slot& slot, const at::Tensor& gradient) const override {
    at::Tensor move =
        slot.weight_decay != 0 ? gradient.add(slot.parameter, slot.weight_decay) : gradient;
    if (options_.momentum > 0) {
      at::Tensor& buffer = slot.buffers[0];
      if (slot.steps == 0) {
        buffer.copy_(move);
      } else {
        buffer.mul_(options_.momentum).add_(move, 1 - options_.dampening);
      }
      move = options_.nesterov ? move.add(buffer, options_.momentum) : buffer;
    }
    slot.parameter.add_(move, -lr() * slot.lr_scale);
  }

  SgdOptions options_;
};

}  // namespace

std::shared_ptr<Optimizer> make_sgd(std::vector<ParameterGroup> groups, const SgdOptions& options) {
  if (options.nesterov && (options.momentum <= 0 || options.dampening != 0))
    throw Error(ErrorKind::invalid_argument,
                {.where = "optimizer.nesterov",
                 .rule = "needs momentum > 0 and dampening = 0",
                 .hint = "set nesterov=false for plain gradient descent"});
  return std::make_shared<Sgd>(std::move(groups), options);
}

}  // namespace residua
