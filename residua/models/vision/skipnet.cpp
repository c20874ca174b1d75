#include "residua/models/vision/skipnet.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/connections/skipnet.h"
#include "residua/core/error.h"
#include "residua/nn/init.h"

namespace residua {

namespace {

using SkipPart = std::shared_ptr<torch::nn::Module>;

// A block's children, its shortcut under the name "downsample".
SkipPart renamed_block(const torch::nn::Module& block) {
  const auto renamed = std::make_shared<torch::nn::Module>("BasicBlock");
  for (const auto& child : block.named_children())
    renamed->register_module(child.key() == "shortcut" ? "downsample" : child.key(), child.value());
  return renamed;
}

}  // namespace

SkipPart skipnet_reference_names(const ResNetCifar& model) {
  const auto parts = model.named_children();
  const auto gates = parts["connection"]->named_children();
  int64_t site = 0;
  const auto names = std::make_shared<torch::nn::Module>("SkipNet");
  for (const char* name : {"conv1", "bn1"})
    if (parts.contains(name)) names->register_module(name, parts[name]);
  for (size_t g = 0; g < model.stages().size(); ++g)
    for (size_t i = 0; i < model.stages()[g]->blocks().size(); ++i, ++site) {
      const torch::nn::Module& block = *model.stages()[g]->blocks()[i];
      const auto part = [&](const char* kind) {
        return fmt::format("group{}_{}{}", g + 1, kind, i);
      };
      if (!gates.contains(std::to_string(site)))
        throw Error(ErrorKind::invalid_argument,
                    {.where = "skipnet",
                     .rule = "needs a gate after every block",
                     .expected = "connection={name=\"skipnet\", last_gate=true}"});
      if (block.named_children().contains("shortcut"))
        names->register_module(part("ds"), block.named_children()["shortcut"]);
      names->register_module(part("layer"), renamed_block(block));
      names->register_module(part("gate"), gates[std::to_string(site)]);
    }
  if (gates.contains("control")) names->register_module("control", gates["control"]);
  names->register_module("fc", parts["linear"]);
  return names;
}

CardResult check_skipnet_card(const GoldenCard& card) {
  const std::string gate = card.options.at("gate_type").get<std::string>();
  const bool recurrent = gate == "rnn";
  const char* const kind = recurrent ? "rnn" : gate == "ffgate1" ? "ff1" : "ff2";
  const SkipInitialization every_weight_is_filled;
  ResNetCifar model({.n = card.options.at("layers").at(0),
                     .shortcut = Shortcut::b,
                     .connection = {"skipnet", {{"gate", kind}, {"last_gate", true}}}},
                    Random(0));
  const auto names = skipnet_reference_names(model);
  return check_card(card, *names, [&](const std::vector<at::Tensor>& inputs) {
    model.train(card.training);
    State last;
    model.visit_sites([&](const Site&, const State& state) { last = state; });
    NamedOutputs outputs{{"y.0", model.forward(inputs.front())}};
    const auto decisions = SkipNet::decisions(last), log_odds = SkipNet::log_odds(last);
    for (size_t i = 0; i < log_odds.size(); ++i) {
      const at::Tensor z = log_odds[i].unsqueeze(1);
      if (i + 1 < decisions.size()) outputs.emplace_back(fmt::format("y.1.{}", i), decisions[i]);
      outputs.emplace_back(
          fmt::format("y.2.{}", i),
          recurrent ? z.sigmoid() : at::cat({at::log_sigmoid(-z), at::log_sigmoid(z)}, 1));
    }
    return outputs;
  });
}

}  // namespace residua
