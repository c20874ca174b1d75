#include "residua/connections/fixup.h"

#include <torch/torch.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/nn/init.h"

namespace residua {

namespace {

struct FixupOptions {
  void fields(Fields&) {}
};

class FixupConnection final : public Connection {
 public:
  explicit FixupConnection(const Carrier& carrier)
      : branches_(static_cast<int64_t>(carrier.sites.size())) {}

  BranchStyle style(const Site&) const override { return {.norm = false, .scalars = true}; }
  EndStyle ends() const override {
    return {.norm = false, .scalars = true, .zero_classifier = true};
  }

  void init(const Site& site, torch::nn::Module& branch, const Random& random) override {
    const auto* const known = dynamic_cast<const BranchWeights*>(&branch);
    if (!known)
      throw Error(ErrorKind::internal,
                  {.where = branch.name(), .rule = "does not name its weights in order"});
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> weights = known->branch_weights();
    const double scale = fixup_scale(branches_, static_cast<int64_t>(weights.size()));
    weights.back().zero_();
    weights.pop_back();
    for (size_t i = 0; i < weights.size(); ++i) {
      const at::Tensor& weight = weights[i];
      if (weight.dim() == 2)  // linear layers begin smaller than He's distribution
        fill_normal(weight.detach(), std::sqrt(2.0 / static_cast<double>(weight.size(1))),
                    random.split(static_cast<uint64_t>(site.branch)).split(i));
      weight.mul_(scale);
    }
  }

  void merge(State& state, const Site&, const at::Tensor& y, const Read&) override {
    state.x() = state.x() + y;
  }
  PlainMerge plain_merge(const Site&) const override { return PlainMerge::sum; }
  StreamDiagram describe() const override { return {.merge = "x + f(x), f without norms"}; }

 private:
  int64_t branches_;
};

}  // namespace

double fixup_scale(int64_t branches, int64_t layers) {
  if (layers < 2) return 1;
  return std::pow(static_cast<double>(branches), -1.0 / static_cast<double>(2 * layers - 2));
}

void add_fixup_connections(Registry<Connection, Carrier, Random>& connections) {
  connections.add<FixupOptions>(
      {"fixup", "x + f(x) without normalisation: branches begin at zero, weights scaled by depth",
       "fixup"},
      {}, [](const FixupOptions&, const Carrier& carrier, const Random&) {
        return std::make_shared<FixupConnection>(carrier);
      });
}

}  // namespace residua
