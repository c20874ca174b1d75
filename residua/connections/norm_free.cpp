#include "residua/connections/norm_free.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>

namespace residua {

namespace {

struct NormFreeOptions {
  double alpha = 0.2;
  bool weight_standard = true;
  bool skipinit = false;
  void fields(Fields& f) {
    f.add("alpha", alpha, "multiplies every branch", {.min = 0, .open_min = true});
    f.add("weight_standard", weight_standard, "standardise the weights of branches and stem");
    f.add("skipinit", skipinit, "one learned gain for each branch that begins at 0");
  }
};

class NormFreeConnection final : public Connection {
 public:
  NormFreeConnection(const NormFreeOptions& options, const Carrier& carrier)
      : options_(options), variances_(norm_free_variances(carrier.sites, options.alpha)) {
    if (carrier.kind == CarrierKind::cnn && carrier.post_activation)
      refuse("nf", carrier, "its predicted variance needs blocks of order=pre");
    if (carrier.kind != CarrierKind::cnn && carrier.kind != CarrierKind::mlp)
      refuse("nf", carrier, "attention does not keep the variance that it predicts");
    if (!options_.skipinit) return;
    for (size_t i = 0; i < carrier.sites.size(); ++i) {
      const auto site = register_module(std::to_string(i), std::make_shared<Module>("SkipInit"));
      gains_.push_back(site->register_parameter("skipinit_gain", torch::zeros({})));
    }
  }

  BranchStyle style(const Site& site) const override {
    return {.norm = false,
            .weight_standard = options_.weight_standard,
            .input_scale = 1 / std::sqrt(variances_[static_cast<size_t>(site.branch)])};
  }
  EndStyle ends() const override {
    return {.norm = false, .weight_standard = options_.weight_standard};
  }
  double expected_variance(const Site& site) const override {
    return options_.skipinit ? 0 : variances_[static_cast<size_t>(site.branch) + 1];
  }

  void merge(State& state, const Site& site, const at::Tensor& y, const Read&) override {
    const at::Tensor gained = gains_.empty() ? y : y * gains_[static_cast<size_t>(site.branch)];
    state.x() = at::add(state.x(), gained, options_.alpha);
  }
  StreamDiagram describe() const override {
    return {.read = "x / beta", .merge = fmt::format("x + {:g} f(x / beta)", options_.alpha)};
  }

 private:
  NormFreeOptions options_;
  std::vector<double> variances_;
  std::vector<at::Tensor> gains_;
};

}  // namespace

std::vector<double> norm_free_variances(const std::vector<Site>& sites, double alpha) {
  std::vector<double> variances{1};
  for (const Site& site : sites)
    variances.push_back((site.changes_shape() ? 1 : variances.back()) + alpha * alpha);
  return variances;
}

void add_norm_free_connections(Registry<Connection, Carrier, Random>& connections) {
  connections.add<NormFreeOptions>(
      {"nf", "S(x) + alpha * f(x / beta) without normalisation, beta by prediction", "nf-resnet"},
      {}, [](const NormFreeOptions& o, const Carrier& carrier, const Random&) {
        return std::make_shared<NormFreeConnection>(o, carrier);
      });
}

}  // namespace residua
