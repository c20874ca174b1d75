#include "residua/analysis/tuning_memory.h"

#include <torch/torch.h>

#include "residua/analysis/memory.h"
#include "residua/analysis/probed_model.h"
#include "residua/optim/trainable.h"

namespace residua {

namespace {

class TuningMemoryProbe final : public Probe {
 public:
  explicit TuningMemoryProbe(const TuningMemoryOptions& options) : options_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    const ProbedModel probed = open_probed(context, "tuning-memory");
    Model& model = *probed.model;
    train_only(model, probed.options.trainable);
    model.train();
    const Batch batch = probed.train_batches(probed.options.batch_size).front();
    const StepMemory step = measure_step(
        [&] { return at::cross_entropy_loss(model.forward(batch.input), batch.label); },
        options_.repeats);
    return {.metrics = {{"peak", static_cast<double>(step.peak)},
                        {"saved", static_cast<double>(step.saved)},
                        {"seconds", step.seconds}}};
  }

 private:
  TuningMemoryOptions options_;
};

}  // namespace

void TuningMemoryOptions::fields(Fields& f) {
  f.add("repeats", repeats, "steps, of which the median time counts", {.min = 1});
}

void add_tuning_memory_probe(Registry<Probe>& probes) {
  probes.add<TuningMemoryOptions>(
      {"tuning-memory", "memory of a training step with the parameters that learn",
       "three-things-vit"},
      {}, [](const TuningMemoryOptions& o) { return std::make_shared<TuningMemoryProbe>(o); });
}

}  // namespace residua
