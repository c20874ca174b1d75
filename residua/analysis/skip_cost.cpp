#include "residua/analysis/skip_cost.h"

#include <torch/torch.h>

#include <algorithm>
#include <chrono>

#include "residua/analysis/probed_model.h"
#include "residua/connections/skipnet.h"
#include "residua/core/error.h"
#include "residua/nn/layer.h"
#include "residua/nn/observe.h"

namespace residua {

void SkipCostOptions::fields(Fields& f) {
  f.add("images", images, "of the test split; 0: all", {.min = 0});
  f.add("draws", draws, "passes with random gates", {.min = 1});
  f.add("repeats", repeats, "measurements of time, of which the least counts", {.min = 1});
}

namespace {

double skip_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Multiply-accumulates for an image over all batches.
double executed_macs(Model& model, const std::vector<Batch>& batches) {
  const at::NoGradGuard no_grad;
  double macs = 0, images = 0;
  const ForwardObserver observer(
      [&](const torch::nn::Module& layer, const at::Tensor& in, const at::Tensor& out) {
        if (const auto* counts = dynamic_cast<const CountsMacs*>(&layer))
          macs += static_cast<double>(counts->macs(in, out));
      });
  for (const Batch& batch : batches) {
    model.forward(batch.input);
    images += static_cast<double>(batch.size());
  }
  return macs / images;
}

double skip_pass_seconds(Model& model, const std::vector<Batch>& batches) {
  const at::NoGradGuard no_grad;
  const double begin = skip_clock();
  for (const Batch& batch : batches) model.forward(batch.input);
  return skip_clock() - begin;
}

double skip_correlation(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a - a.mean(), y = b - b.mean();
  const double norm = (x.norm() * y.norm()).item<double>();
  return norm > 0 ? (x * y).sum().item<double>() / norm : 0;
}

// What the model's own gates decide: [images, gates], 1 where the block ran.
at::Tensor decisions_on(StreamModel& model, const std::vector<Batch>& batches) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> rows;
  State last;
  model.visit_sites([&](const Site&, const State& state) { last = state; });
  const size_t gated = model.carrier().sites.size() - 1;
  for (const Batch& batch : batches) {
    model.forward(batch.input);
    std::vector<at::Tensor> gates = SkipNet::decisions(last);
    gates.resize(gated);  // without the reference's last gate
    rows.push_back(at::stack(gates, 1).to(at::kDouble));
  }
  model.visit_sites({});
  return at::cat(rows);
}

SkipNet::Decide open_gates() {
  return [](const Site&, const at::Tensor& z) { return at::ones_like(z); };
}
SkipNet::Decide coin_gates(double p) {
  return
      [p](const Site&, const at::Tensor& z) { return at::rand_like(z).lt(p).to(z.scalar_type()); };
}

class SkipCost final : public Probe {
 public:
  explicit SkipCost(const SkipCostOptions& options) : options_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    const ProbedModel probed = open_probed(context, "skip-cost");
    StreamModel& model = probed.stream("skip-cost");
    auto* skipnet = dynamic_cast<SkipNet*>(&model.connection());
    if (!skipnet || model.carrier().sites.size() < 2)
      throw Error(ErrorKind::unsupported, {.where = "probe skip-cost",
                                           .rule = "looks at gates",
                                           .expected = "connection=skipnet on two blocks or more"});
    const auto batches = probed.test_batches(options_.images);
    const at::Tensor gates = decisions_on(model, batches);
    const double executed = gates.mean().item<double>();
    ProbeResult result{.metrics = {{"top1", top1_of(model, batches)}, {"executed", executed}}};
    add_costs(result, model, *skipnet, batches);
    add_random(result, model, *skipnet, batches, executed, context.random);
    std::vector<at::Tensor> brightness;
    for (const Batch& batch : batches) brightness.push_back(batch.input.mean({1, 2, 3}));
    result.metrics.push_back({"brightness_correlation",
                              skip_correlation(at::cat(brightness).to(at::kDouble), gates.sum(1))});
    result.series.push_back(by_block(gates));
    return result;
  }

 private:
  void add_costs(ProbeResult& result, StreamModel& model, SkipNet& skipnet,
                 const std::vector<Batch>& batches) const {
    const double macs = executed_macs(model, batches);
    skipnet.decide_by(open_gates());
    const double open_macs = executed_macs(model, batches), open = top1_of(model, batches);
    double seconds = 0, open_seconds = 0;
    for (int64_t i = 0; i < options_.repeats; ++i) {  // alternating, so that both see the same load
      skipnet.decide_by({});
      const double own = skip_pass_seconds(model, batches);
      skipnet.decide_by(open_gates());
      const double all = skip_pass_seconds(model, batches);
      seconds = i == 0 ? own : std::min(seconds, own);
      open_seconds = i == 0 ? all : std::min(open_seconds, all);
    }
    skipnet.decide_by({});
    for (const auto& [name, value] : NamedValues{{"macs", macs},
                                                 {"open.macs", open_macs},
                                                 {"saving", 1 - macs / open_macs},
                                                 {"open.top1", open},
                                                 {"seconds", seconds},
                                                 {"open.seconds", open_seconds},
                                                 {"time_saving", 1 - seconds / open_seconds}})
      result.metrics.push_back({name, value});
  }

  void add_random(ProbeResult& result, StreamModel& model, SkipNet& skipnet,
                  const std::vector<Batch>& batches, double executed, const Random& random) const {
    torch::manual_seed(random.split("skip-cost").bits());
    skipnet.decide_by(coin_gates(executed));
    double top1 = 0;
    for (int64_t i = 0; i < options_.draws; ++i) top1 += top1_of(model, batches);
    result.metrics.push_back({"random.top1", top1 / static_cast<double>(options_.draws)});
    result.metrics.push_back({"random.macs", executed_macs(model, batches)});
    skipnet.decide_by({});
  }

  static Series by_block(const at::Tensor& gates) {
    Series series{.name = "executed", .x_label = "block", .y_label = "part of the images"};
    const at::Tensor means = gates.mean(0);
    for (int64_t i = 0; i < means.size(0); ++i) {
      series.x.push_back(static_cast<double>(i + 1));
      series.measured.push_back(means[i].item<double>());
    }
    return series;
  }

  SkipCostOptions options_;
};

}  // namespace

void add_skip_cost_probe(Registry<Probe>& probes) {
  probes.add<SkipCostOptions>(
      {"skip-cost", "what the gates of a SkipNet save, and what that costs", "skipnet"}, {},
      [](const SkipCostOptions& o) { return std::make_shared<SkipCost>(o); });
}

}  // namespace residua
