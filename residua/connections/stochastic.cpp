#include "residua/connections/stochastic.h"

#include <torch/torch.h>

#include <algorithm>

#include "residua/connections/feature.h"

namespace residua {

void StochasticOptions::fields(Fields& f) {
  f.add("survival", survival, "probability that the last block is executed in training",
        {.min = 0, .max = 1, .open_min = true});
  f.add("rule", rule, "linear: probabilities fall from 1 to `survival` with depth; uniform: all");
  f.add("mode", mode, "batch: one draw for a batch, which saves the work; row: for each sample");
  f.add("scale", scale, "test: p y at test, as in the paper; inverted: y / p in training");
}

double survival_probability(const StochasticOptions& o, int64_t l, int64_t blocks) {
  if (o.rule == SurvivalRule::uniform) return o.survival;
  return 1 - static_cast<double>(l) / static_cast<double>(blocks) * (1 - o.survival);
}

namespace {

class StochasticDepth final : public Connection {
 public:
  StochasticDepth(const StochasticOptions& options, const Carrier& carrier) : options_(options) {
    int64_t blocks = 0;
    for (const Site& site : carrier.sites) blocks = std::max(blocks, site.block + 1);
    for (const Site& site : carrier.sites)
      survival_.push_back(survival_probability(options, site.block + 1, blocks));
  }

  Read read(State& state, const Site& site) override {
    const double p = survival(site);
    const bool draws = is_training() && options_.mode == DropMode::batch && p < 1;
    const bool run = !draws || at::rand({}, at::kDouble).item<double>() < p;
    return {.input = state.x(), .run = run};
  }

  void merge(State& state, const Site& site, const at::Tensor& y, const Read& read) override {
    if (!read.run) return;  // the stream is S(x) already
    const double p = survival(site);
    const bool inverted = options_.scale == DropScale::inverted;
    const double factor = is_training() ? (inverted ? 1 / p : 1) : (inverted ? 1 : p);
    const at::Tensor kept = is_training() && options_.mode == DropMode::row && p < 1
                                ? y * over_channels(drawn(y, p), y)
                                : y;
    state.x() = factor == 1 ? state.x() + kept : at::add(state.x(), kept, factor);
  }

  StreamDiagram describe() const override { return {.merge = "x + b f(x), b = 1 with p"}; }
  PlainMerge plain_merge(const Site& site) const override {
    const bool plain =
        survival(site) == 1 || (!is_training() && options_.scale == DropScale::inverted);
    return plain ? PlainMerge::sum : PlainMerge::no;
  }

 private:
  double survival(const Site& site) const { return survival_[static_cast<size_t>(site.branch)]; }
  static at::Tensor drawn(const at::Tensor& y, double p) {
    return at::rand({y.size(0)}, y.options().requires_grad(false).dtype(at::kFloat))
        .lt(p)
        .to(y.scalar_type());
  }

  StochasticOptions options_;
  std::vector<double> survival_;  // by branch
};

}  // namespace

void add_stochastic_connections(Registry<Connection, Carrier, Random>& connections) {
  connections.add<StochasticOptions>(
      {"stochastic-depth", "branches left out at random in training: x + b f(x)",
       "stochastic-depth"},
      {}, [](const StochasticOptions& o, const Carrier& carrier, const Random&) {
        return std::make_shared<StochasticDepth>(o, carrier);
      });
}

}  // namespace residua
