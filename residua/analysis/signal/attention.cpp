#include "residua/analysis/signal/attention.h"

#include <torch/torch.h>

#include "residua/analysis/probed_model.h"
#include "residua/nn/attention.h"

namespace residua {

namespace {

struct AttentionProbeOptions {
  int64_t windows = 32;
  void fields(Fields& f) {
    f.add("windows", windows, "windows of the validation text; 0: all", {.min = 0});
  }
};

class AttentionProbe final : public Probe {
 public:
  explicit AttentionProbe(const AttentionProbeOptions& options) : options_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    const ProbedModel probed = open_probed(context, "attention-concentration");
    Gpt& gpt = probed.gpt("attention-concentration");
    std::vector<AttentionLayer> mean;
    double windows = 0;
    for (const Batch& batch : probed.test_batches(options_.windows)) {
      add(mean, look_at_attention(gpt, batch.input), static_cast<double>(batch.size()));
      windows += static_cast<double>(batch.size());
    }
    ProbeResult result;
    add_measure(result, mean, windows, "entropy", &AttentionLayer::entropy);
    add_measure(result, mean, windows, "sink", &AttentionLayer::sink);
    add_measure(result, mean, windows, "drain", &AttentionLayer::drain);
    add_measure(result, mean, windows, "similarity", &AttentionLayer::similarity);
    return result;
  }

 private:
  static void add(std::vector<AttentionLayer>& sums, const std::vector<AttentionLayer>& layers,
                  double weight) {
    sums.resize(layers.size());
    for (size_t i = 0; i < layers.size(); ++i) {
      sums[i].entropy += weight * layers[i].entropy;
      sums[i].sink += weight * layers[i].sink;
      sums[i].drain += weight * layers[i].drain;
      sums[i].similarity += weight * layers[i].similarity;
    }
  }

  static void add_measure(ProbeResult& result, const std::vector<AttentionLayer>& sums,
                          double weight, const std::string& name, double AttentionLayer::*member) {
    Series series{.name = name, .x_label = "layer", .y_label = name};
    double total = 0;
    for (size_t i = 0; i < sums.size(); ++i) {
      series.x.push_back(static_cast<double>(i + 1));
      series.measured.push_back(sums[i].*member / weight);
      total += series.measured.back();
    }
    result.metrics.emplace_back(name, total / static_cast<double>(sums.size()));
    result.metrics.emplace_back(name + ".last", series.measured.back());
    result.series.push_back(std::move(series));
  }

  AttentionProbeOptions options_;
};

}  // namespace

double importance_entropy(const at::Tensor& weights) {
  const at::Tensor importance = weights.to(at::kDouble).mean(at::IntArrayRef{1, 2});  // [N, S]
  return -(importance * importance.clamp_min(1e-300).log()).sum(1).mean().item<double>();
}

double sink_mass(const at::Tensor& weights) {
  const at::Tensor first = weights.select(3, 0).to(at::kDouble);
  return first.narrow(2, 1, first.size(2) - 1).mean().item<double>();
}

double value_drain(const at::Tensor& values) {
  const at::Tensor norms = values.to(at::kDouble).norm(2, -1);  // [N, heads, S]
  const at::Tensor others = norms.narrow(2, 1, norms.size(2) - 1);
  return (norms.select(2, 0).mean() / others.mean()).item<double>();
}

double token_similarity(const at::Tensor& stream) {
  const at::Tensor x = stream.to(at::kDouble);
  const at::Tensor unit = x / x.norm(2, -1, /*keepdim=*/true).clamp_min(1e-300);
  const auto tokens = static_cast<double>(x.size(1));
  // |sum of unit vectors|^2 counts every pair twice and each token with itself.
  const at::Tensor all = unit.sum(1).square().sum(-1);
  return ((all - tokens) / (tokens * (tokens - 1))).mean().item<double>();
}

std::vector<AttentionLayer> look_at_attention(Gpt& model, const at::Tensor& ids) {
  const torch::NoGradGuard no_grad;
  std::vector<AttentionLayer> layers;
  model.visit_attention([&](const Site&, const AttentionView& view) {
    const at::Tensor weights = attention_weights(view.q, view.k, view.causal);
    layers.push_back({.entropy = importance_entropy(weights),
                      .sink = sink_mass(weights),
                      .drain = value_drain(view.v)});
  });
  model.visit_sites([&](const Site& site, const State& state) {
    if (site.sublayer == 1 && !layers.empty())
      layers.back().similarity = token_similarity(model.connection().finish(state));
  });
  model.forward(ids);
  model.visit_attention({});
  model.visit_sites({});
  return layers;
}

void add_attention_probes(Registry<Probe>& probes) {
  probes.add<AttentionProbeOptions>(
      {"attention-concentration", "where a language model's attention goes, layer by layer",
       "value-residual"},
      {}, [](const AttentionProbeOptions& o) { return std::make_shared<AttentionProbe>(o); });
}

}  // namespace residua
