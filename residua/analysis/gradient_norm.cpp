#include "residua/analysis/gradient_norm.h"

#include <torch/torch.h>

#include "residua/analysis/probed_model.h"
#include "residua/core/error.h"
#include "residua/train/tasks/classification.h"

namespace residua {

void GradientNormOptions::fields(Fields& f) {
  f.add("parameter", parameter, "its name; empty: the first of the model");
  f.add("batches", batches, "training batches to average over", {.min = 1});
}

namespace {

class GradientNorm final : public Probe {
 public:
  explicit GradientNorm(const GradientNormOptions& options) : options_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    const ProbedModel probed = open_probed(context, "gradient-norm");
    Model& model = *probed.model;
    at::Tensor weight = parameter(model);
    torch::manual_seed(Random(context.random).bits());
    model.train();
    double sum = 0;
    const auto batches = probed.train_batches(options_.batches * probed.options.batch_size);
    for (const Batch& batch : batches) {
      model.zero_grad();
      output_loss(model.forward(batch.input), batch.target).backward();
      if (weight.grad().defined()) sum += weight.grad().norm().item<double>();
    }
    const double mean = sum / static_cast<double>(batches.size());
    return {.metrics = {{"gradient", mean},
                        {"relative", mean / weight.detach().norm().item<double>()}}};
  }

 private:
  at::Tensor parameter(const Model& model) const {
    const auto named = model.named_parameters();
    if (options_.parameter.empty()) return named.front().value();
    if (const at::Tensor* found = named.find(options_.parameter)) return *found;
    throw Error(ErrorKind::not_found,
                {.where = options_.parameter,
                 .rule = "is not a parameter of the model",
                 .hint = nearest_names_hint(options_.parameter, named.keys())});
  }

  GradientNormOptions options_;
};

}  // namespace

void add_gradient_norm_probe(Registry<Probe>& probes) {
  probes.add<GradientNormOptions>(
      {"gradient-norm", "norm of the gradient of one parameter of a trained model"}, {},
      [](const GradientNormOptions& o) { return std::make_shared<GradientNorm>(o); });
}

}  // namespace residua
