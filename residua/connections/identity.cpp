#include "residua/connections/identity.h"

#include <fmt/format.h>
#include <torch/torch.h>

namespace residua {

namespace {

struct NoOptions {
  void fields(Fields&) {}
};

class IdentityConnection final : public Connection {
 public:
  void merge(State& state, const Site&, const at::Tensor& y, const Read&) override {
    state.x() = state.x() + y;
  }
  PlainMerge plain_merge(const Site&) const override { return PlainMerge::sum; }
};

class PlainConnection final : public Connection {
 public:
  bool has_shortcut() const override { return false; }
  void resize(State&, const Site&, const Shortcut&) override {}
  void merge(State& state, const Site&, const at::Tensor& y, const Read&) override {
    state.x() = y;
  }
  PlainMerge plain_merge(const Site&) const override { return PlainMerge::replace; }
  StreamDiagram describe() const override { return {.merge = "f(x)"}; }
};

struct ScaledOptions {
  double scale = 1;
  bool learned = false;
  void fields(Fields& f) {
    f.add("scale", scale, "multiplies the branch");
    f.add("learned", learned, "one learned number for each branch that begins at `scale`");
  }
};

class ScaledConnection final : public Connection {
 public:
  ScaledConnection(const ScaledOptions& options, const Carrier& carrier) : options_(options) {
    if (!options_.learned) return;
    for (size_t i = 0; i < carrier.sites.size(); ++i) {
      const auto site = register_module(std::to_string(i), std::make_shared<Module>("Scale"));
      scales_.push_back(site->register_parameter("scale", torch::full({1}, options_.scale)));
    }
  }
  void merge(State& state, const Site& site, const at::Tensor& y, const Read&) override {
    if (options_.learned)
      state.x() = state.x() + scales_[static_cast<size_t>(site.branch)] * y;
    else
      state.x() = at::add(state.x(), y, options_.scale);
  }
  StreamDiagram describe() const override {
    return {.merge = options_.learned ? "x + s f(x), s learned for each site"
                                      : fmt::format("x + {:g} f(x)", options_.scale)};
  }

 private:
  ScaledOptions options_;
  std::vector<at::Tensor> scales_;
};

}  // namespace

void add_identity_connections(Registry<Connection, Carrier, Random>& connections) {
  connections.add<NoOptions>({"identity", "residual network: x + f(x)", "resnet"}, {},
                             [](const NoOptions&, const Carrier&, const Random&) {
                               return std::make_shared<IdentityConnection>();
                             });
  connections.add<NoOptions>({"none", "plain network without shortcuts: f(x)", "resnet"}, {},
                             [](const NoOptions&, const Carrier&, const Random&) {
                               return std::make_shared<PlainConnection>();
                             });
  connections.add<ScaledOptions>({"scaled", "x + scale * f(x), the scale constant or learned"}, {},
                                 [](const ScaledOptions& o, const Carrier& carrier, const Random&) {
                                   return std::make_shared<ScaledConnection>(o, carrier);
                                 });
}

}  // namespace residua
