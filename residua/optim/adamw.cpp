#include "residua/optim/adamw.h"

#include <torch/types.h>

#include <cmath>

#include "residua/kernels/optimizer_step.h"
#include "residua/optim/slot_optimizer.h"

namespace residua {

namespace {

class AdamW final : public SlotOptimizer {
 public:
  AdamW(std::vector<ParameterGroup> groups, const AdamWOptions& options)
      : SlotOptimizer(std::move(groups), options.lr, {"mean", "square"}), options_(options) {}

 private:
  struct Numbers {
    double keep, step_size, correction2_sqrt;
  };

  Numbers numbers(const Slot& slot) const {
    const double rate = lr() * slot.lr_scale, t = static_cast<double>(slot.steps + 1);
    return {1 - rate * slot.weight_decay, rate / (1 - std::pow(options_.beta1, t)),
            std::sqrt(1 - std::pow(options_.beta2, t))};
  }

  FlatStep flat_step(const Slot& slot, const at::Tensor& gradient) const override {
    const Numbers now = numbers(slot);
    const kernels::AdamWStep step{.keep = static_cast<float>(now.keep),
                                  .beta1 = static_cast<float>(options_.beta1),
                                  .fresh1 = static_cast<float>(1 - options_.beta1),
                                  .beta2 = static_cast<float>(options_.beta2),
                                  .fresh2 = static_cast<float>(1 - options_.beta2),
                                  .step_size = static_cast<float>(now.step_size),
                                  .correction2_sqrt = static_cast<float>(now.correction2_sqrt),
                                  .eps = static_cast<float>(options_.eps)};
    float* p = slot.parameter.data_ptr<float>();
    const float* g = gradient.data_ptr<float>();
    float *m = slot.buffers[0].data_ptr<float>(), *v = slot.buffers[1].data_ptr<float>();
    return [=](int64_t o, int64_t n) { kernels::adamw_step(p + o, g + o, m + o, v + o, n, step); };
  }

  void tensor_step(Slot& slot, const at::Tensor& gradient) const override {
    const Numbers now = numbers(slot);
    slot.parameter.mul_(now.keep);
    slot.buffers[0].mul_(options_.beta1).add_(gradient, 1 - options_.beta1);
    slot.buffers[1].mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
    const at::Tensor root = slot.buffers[1].sqrt().div_(now.correction2_sqrt).add_(options_.eps);
    slot.parameter.addcdiv_(slot.buffers[0], root, -now.step_size);
  }

  AdamWOptions options_;
};

}  // namespace

std::shared_ptr<Optimizer> make_adamw(std::vector<ParameterGroup> groups,
                                      const AdamWOptions& options) {
  return std::make_shared<AdamW>(std::move(groups), options);
}

}  // namespace residua
