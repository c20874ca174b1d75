#include "residua/models/golden_parts.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/connections/hyper.h"
#include "residua/core/error.h"
#include "residua/models/vision/skipnet.h"
#include "residua/nn/linear.h"

namespace residua {

namespace {

// A list of hyper-connected linear layers, sites.{i}.{static_alpha, ..., branch.weight, ...}; the
// streams after each, one after the other along the batch, and their sum.
CardResult check_hyper(const GoldenCard& card) {
  HyperOptions o;
  const int64_t dim = card.options.at("dim"), count = card.options.at("sites");
  assign(o, {{"streams", card.options.at("streams")},
             {"norm", card.options.at("norm")},
             {"tanh", card.options.at("tanh")}});
  Carrier carrier{.kind = CarrierKind::mlp};
  for (int64_t i = 0; i < count; ++i)
    carrier.sites.push_back({.branch = i, .block = i, .c_in = dim, .c_out = dim});
  carrier.sites = numbered(carrier.sites);
  HyperConnection connection(o, carrier);
  torch::nn::Module root;
  const auto sites = root.register_module("sites", std::make_shared<torch::nn::Module>("Sites"));
  std::vector<std::shared_ptr<Linear>> branches;
  for (int64_t i = 0; i < count; ++i) {
    const auto& site = connection.sites()[static_cast<size_t>(i)];
    sites->register_module(std::to_string(i), site);
    branches.push_back(site->register_module("branch", linear(dim, dim, {}, Random(0))));
  }
  return check_card(card, root, [&](const std::vector<at::Tensor>& inputs) {
    NamedOutputs outputs;
    State state = connection.begin(inputs.front());
    for (const Site& site : carrier.sites) {
      const Read read = connection.read(state, site);
      const at::Tensor y = branches[static_cast<size_t>(site.branch)]->forward(read.input);
      connection.merge(state, site, y, read);
      outputs.emplace_back(fmt::format("y.streams{}", site.step),
                           state.x().movedim(-2, 1).flatten(0, 1));
    }
    outputs.emplace_back("y.reduced", connection.finish(state));
    return outputs;
  });
}

}  // namespace

const std::map<std::string, PartCheck>& golden_parts() {
  static const std::map<std::string, PartCheck> parts{{"hyper-connections", check_hyper},
                                                      {"skipnet", check_skipnet_card}};
  return parts;
}

}  // namespace residua
