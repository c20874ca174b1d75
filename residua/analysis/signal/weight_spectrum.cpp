// Probe weight-spectrum.

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "residua/analysis/signal/probe_input.h"
#include "residua/analysis/signal/signal_probes.h"
#include "residua/connections/connection.h"
#include "residua/core/error.h"
#include "residua/nn/orthonormal.h"

namespace residua {

namespace {

struct WeightSpectrumOptions {
  Component model = "resnet_cifar";
  void fields(Fields& f) {
    f.add("model", model, "that is made fresh; not used where the probe looks at a job");
  }
};

class WeightSpectrum final : public Probe {
 public:
  explicit WeightSpectrum(const WeightSpectrumOptions& options) : o_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    const at::NoGradGuard no_grad;
    const auto model = signal_model(context, o_.model, context.random.split("model"));
    Series largest{.name = "largest", .x_label = "layer", .y_label = "singular value"};
    Series smallest{.name = "smallest", .x_label = "layer", .y_label = "singular value"};
    double error = 0;
    for (const auto& part : model->modules()) {
      const auto* const branch = dynamic_cast<const BranchWeights*>(part.get());
      if (!branch) continue;
      for (const at::Tensor& weight : branch->branch_weights()) {
        double most = 0, least = INFINITY;
        for (const at::Tensor& group : filter_groups(weight)) {
          const at::Tensor values = at::linalg_svdvals(group.to(at::kDouble));
          most = std::max(most, values.max().item<double>());
          least = std::min(least, values.min().item<double>());
        }
        for (Series* s : {&largest, &smallest})
          s->x.push_back(static_cast<double>(s->x.size() + 1));
        largest.measured.push_back(most);
        smallest.measured.push_back(least);
        error += std::sqrt(orthonormality_error(weight.to(at::kDouble)).item<double>());
      }
    }
    if (largest.x.empty())
      throw Error(ErrorKind::unsupported, {.where = "weight-spectrum",
                                           .rule = "looks at residual branches",
                                           .received = "a model without any"});
    ProbeResult result{
        .metrics = {{"largest", std::ranges::max(largest.measured)},
                    {"smallest", std::ranges::min(smallest.measured)},
                    {"orthonormality_error", error / static_cast<double>(largest.x.size())}}};
    result.series = {std::move(largest), std::move(smallest)};
    return result;
  }

 private:
  WeightSpectrumOptions o_;
};

}  // namespace

void add_weight_spectrum_probe(Registry<Probe>& probes) {
  probes.add<WeightSpectrumOptions>(
      {"weight-spectrum", "singular values of the weights of residual branches",
       "orthonormal-modulation"},
      {}, [](const WeightSpectrumOptions& o) { return std::make_shared<WeightSpectrum>(o); });
}

}  // namespace residua
