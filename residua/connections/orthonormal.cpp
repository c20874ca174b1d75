#include "residua/connections/orthonormal.h"

#include <torch/torch.h>

#include <cmath>

#include "residua/connections/error_modulation.h"
#include "residua/core/error.h"
#include "residua/nn/orthonormal.h"

namespace residua {

namespace {

struct OrthonormalOptions {
  bool shortcut = false;
  bool init = true;
  double gain = 1;
  double penalty = 1e-4;
  int64_t project_every = 0;
  Modulation modulation = Modulation::off;
  int64_t modulated_steps = 0;
  double rho_max = 10;
  double q = 0.1;
  double decay = 0;
  bool watch = false;
  void fields(Fields& f) {
    f.add("shortcut", shortcut, "keep the shortcuts of a residual network");
    f.add("init", init, "begin with orthonormal filters");
    f.add("gain", gain, "norm of the first filters", {.min = 0, .open_min = true});
    f.add("penalty", penalty, "lambda of the loss lambda / 2 * |W^T W - I|^2", {.min = 0});
    f.add("project_every", project_every,
          "training passes between replacements of the filters by the nearest orthonormal ones; 0: "
          "never",
          {.min = 0});
    f.add("modulation", modulation, "scale the backward error towards its norm above");
    f.add("modulated_steps", modulated_steps, "training passes with modulation; 0: all",
          {.min = 0});
    f.add("rho_max", rho_max, "largest factor of one scaling, and its inverse the smallest",
          {.min = 1});
    f.add("q", q, "for modulation=outside: least ratio of lowest to highest error, or the inverse",
          {.min = 0, .max = 1, .open_min = true});
    f.add("decay", decay, "of the running average of error norms; 0: those of each pass",
          {.min = 0, .max = 1, .open_max = true});
    f.add("watch", watch, "report log10 of the lowest over the highest error norm");
  }
};

class OrthonormalConnection final : public Connection {
 public:
  OrthonormalConnection(const OrthonormalOptions& options, const Carrier& carrier)
      : options_(options) {
    if (carrier.kind != CarrierKind::cnn && carrier.kind != CarrierKind::mlp)
      refuse("orthonormal", carrier, "it is about the filters of convolutions and of perceptrons");
    if (options_.project_every > 0 || options_.modulated_steps > 0)
      steps_ = register_buffer("steps", torch::zeros({}, torch::kLong));
    if (options_.modulation == Modulation::off && !options_.watch) return;
    const auto points = static_cast<int64_t>(carrier.sites.size()) + 1;
    norms_ = register_buffer("error_norms", torch::zeros({points}));
    ratio_ = register_buffer("error_ratio", torch::zeros({3}));
  }

  bool has_shortcut() const override { return options_.shortcut; }

  void init(const Site& site, torch::nn::Module& branch, const Random& random) override {
    const auto* const known = dynamic_cast<const BranchWeights*>(&branch);
    if (!known)
      throw Error(ErrorKind::internal,
                  {.where = branch.name(), .rule = "does not name its weights in order"});
    const Random own = random.split(static_cast<uint64_t>(site.branch));
    const std::vector<at::Tensor> weights = known->branch_weights();
    for (size_t i = 0; i < weights.size(); ++i) {
      if (options_.init) fill_orthonormal(weights[i], options_.gain, own.split(i));
      weights_.push_back(weights[i]);
    }
  }

  State begin(const at::Tensor& x0) override {
    const bool learns = is_training() && at::GradMode::is_enabled();
    pass_.reset();
    if (learns) begin_training_pass();
    if (pass_) modulate_error(x0, pass_, 0);
    return {.streams = {x0}};
  }

  void resize(State& state, const Site& site, const Shortcut& shortcut) override {
    if (options_.shortcut) Connection::resize(state, site, shortcut);
  }

  void merge(State& state, const Site& site, const at::Tensor& y, const Read&) override {
    state.x() = options_.shortcut ? state.x() + y : y;
    if (pass_) modulate_error(state.x(), pass_, static_cast<size_t>(site.step) + 1);
  }

  StreamDiagram describe() const override {
    return {.merge = options_.shortcut ? "x + f(x)" : "f(x), filters orthonormal"};
  }
  PlainMerge plain_merge(const Site&) const override {
    if (norms_.defined()) return PlainMerge::no;
    return options_.shortcut ? PlainMerge::sum : PlainMerge::replace;
  }

  bool has_extras() const override { return options_.penalty > 0 || options_.watch; }

  at::Tensor penalty(const State&, const at::Tensor&) override {
    if (options_.penalty == 0 || !is_training()) return {};
    at::Tensor sum;
    for (const at::Tensor& weight : weights_) {
      const at::Tensor error = orthonormality_error(weight);
      sum = sum.defined() ? sum + error : error;
    }
    return sum * (options_.penalty / 2);
  }

  // What watches backward counts the passes through each site.
  bool runs_again() const override { return !options_.watch; }

  // Of the backward pass before this one.
  NamedValues metrics(const State&) override {
    if (!options_.watch || !is_training() || ratio_[2].item<double>() == 0) return {};
    return {{"log_error_ratio", ratio_[0].item<double>()},
            {"log_error_ratio_without", ratio_[1].item<double>()}};
  }

 private:
  void begin_training_pass() {
    const at::NoGradGuard no_grad;
    int64_t step = 0;
    if (steps_.defined()) {
      step = steps_.item<int64_t>();
      steps_.add_(1);
    }
    if (options_.project_every > 0 && step > 0 && step % options_.project_every == 0)
      for (const at::Tensor& weight : weights_) weight.detach().copy_(nearest_orthonormal(weight));
    if (!norms_.defined()) return;
    const at::Tensor norms = norms_.to(at::kCPU, at::kDouble).contiguous();
    const double* const first = norms.data_ptr<double>();
    pass_ = std::make_shared<ErrorPass>(modulates(step) ? options_.rho_max : 1, options_.decay,
                                        std::vector<double>(first, first + norms.numel()));
    pass_->done = [norms = norms_, ratio = ratio_](const ErrorPass& pass) {
      norms.copy_(at::tensor(pass.norms(), at::kDouble));
      ratio.copy_(at::tensor({std::log10(pass.ratio()), std::log10(pass.ratio_without()), 1.0}));
    };
  }

  bool modulates(int64_t step) const {
    if (options_.modulated_steps > 0 && step >= options_.modulated_steps) return false;
    if (options_.modulation != Modulation::outside)
      return options_.modulation == Modulation::always;
    return std::abs(ratio_[1].item<double>()) > -std::log10(options_.q);
  }

  OrthonormalOptions options_;
  std::vector<at::Tensor> weights_;
  at::Tensor steps_, norms_;
  at::Tensor ratio_;  // of the last backward pass: log10 of the lowest over the highest error norm
                      // as it was, and as it would have been without modulation; 1 when measured
  std::shared_ptr<ErrorPass> pass_;
};

}  // namespace

void add_orthonormal_connections(Registry<Connection, Carrier, Random>& connections) {
  connections.add<OrthonormalOptions>(
      {"orthonormal",
       "plain or residual network with orthonormal filters and modulation of the backward error",
       "orthonormal-modulation"},
      {}, [](const OrthonormalOptions& o, const Carrier& carrier, const Random&) {
        return std::make_shared<OrthonormalConnection>(o, carrier);
      });
}

}  // namespace residua
