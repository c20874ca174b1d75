// Which of our models a golden card is about.

#include <torch/torch.h>

#include <regex>

#include "residua/connections/skipnet.h"
#include "residua/core/error.h"
#include "residua/models/golden.h"
#include "residua/models/golden_parts.h"
#include "residua/models/vision/skipnet.h"
#include "residua/nn/init.h"

namespace residua {

namespace {

// timm's VisionTransformer called with its own options.
Component parallel_vit_card_model(const Json& o) {
  return {"vit",
          {{"image_size", o.at("img_size")},
           {"patch", o.at("patch_size")},
           {"dim", o.at("embed_dim")},
           {"depth", o.at("depth")},
           {"heads", o.at("num_heads")},
           {"num_classes", o.at("num_classes")},
           {"mlp_ratio", o.at("mlp_ratio")},
           {"branches", 2},
           {"connection", {{"name", "parallel"}, {"k", 2}}}}};
}

constexpr const char* kSkipNetReference = "ucbdrive/skipnet ";

// ResNets with equally many blocks in each group, the shape that the reference's own functions
// make.
Component skipnet_card_model(const GoldenCard& card) {
  const std::string gate = card.options.at("gate_type").get<std::string>();
  const Json connection{{"name", "skipnet"},
                        {"gate", gate == "rnn"       ? "rnn"
                                 : gate == "ffgate1" ? "ff1"
                                                     : "ff2"},
                        {"last_gate", true}};
  return {"resnet_cifar",
          {{"n", card.options.at("layers").at(0)}, {"shortcut", "B"}, {"connection", connection}}};
}

// y.0 logits, y.1.i decisions, y.2.i what the reference keeps of a gate: probabilities of an
// RNNGate, log-probabilities of the others.
CardResult verify_skipnet_card(const GoldenCard& card, ResNetCifar& model) {
  const auto names = skipnet_reference_names(model);
  const bool recurrent = card.options.at("gate_type") == "rnn";
  return check_card(card, *names, [&](const std::vector<at::Tensor>& inputs) {
    model.train(card.training);
    State last;
    model.visit_sites([&](const Site&, const State& state) { last = state; });
    NamedOutputs outputs{{"y.0", model.forward(inputs.front())}};
    model.visit_sites({});
    const auto decisions = SkipNet::decisions(last), log_odds = SkipNet::log_odds(last);
    for (size_t i = 0; i < log_odds.size(); ++i) {
      const at::Tensor z = log_odds[i].unsqueeze(1);
      if (i + 1 < decisions.size()) outputs.push_back({"y.1." + std::to_string(i), decisions[i]});
      outputs.push_back(
          {"y.2." + std::to_string(i),
           recurrent ? z.sigmoid() : at::cat({at::log_sigmoid(-z), at::log_sigmoid(z)}, 1)});
    }
    return outputs;
  });
}

}  // namespace

Component card_model(const GoldenCard& card) {
  if (models().contains(card.model)) return {card.model, card.options};
  std::smatch match;
  if (std::regex_search(card.reference, match, std::regex(R"(torchvision\.models\.(\w+)\()")) &&
      models().contains(match[1]))
    return {match[1].str(), card.options};
  if (card.reference.starts_with("akamaster/pytorch_resnet_cifar10 "))
    return {"resnet_cifar", card.options};
  if (card.reference.find("block_fn=ParallelThingsBlock") != std::string::npos)
    return parallel_vit_card_model(card.options);
  if (std::regex_search(card.reference, match,
                        std::regex(R"(timm\.create_model\('(\w+)', depth=(\d+)\))")) &&
      models().contains(match[1]))
    return {match[1].str(), {{"depth", std::stoll(match[2])}}};
  if (card.reference.starts_with(kSkipNetReference)) return skipnet_card_model(card);
  if (card.reference.starts_with("hongyi-zhang/Fixup cifar/"))
    return {"fixup_resnet_cifar", card.options};
  if (card.reference.starts_with("hongyi-zhang/Fixup imagenet/")) {
    Json options = card.options;
    options["block"] = options.value("block", "") == "FixupBottleneck" ? "bottleneck" : "basic";
    return {"fixup_resnet18", options};
  }
  if (!card.model.empty()) models().find(card.model);  // throws, naming the nearest
  throw Error(ErrorKind::not_found, {.where = card.path,
                                     .rule = "is a card of a model that is not here",
                                     .received = card.reference});
}

CardResult verify_card(const GoldenCard& card) {
  if (const auto part = golden_parts().find(card.system); part != golden_parts().end()) {
    CardResult result = part->second(card);
    result.model = card.system;
    return result;
  }
  const Component component = card_model(card);
  if (card.inputs.size() != 1)
    throw Error(ErrorKind::unsupported,
                {.where = card.path, .rule = "has other inputs than one batch of images"});
  std::shared_ptr<Model> model;
  {
    const SkipInitialization every_weight_is_filled;
    model = models().create(component, Random(0));
  }
  CardResult result = card.reference.starts_with(kSkipNetReference)
                          ? verify_skipnet_card(card, dynamic_cast<ResNetCifar&>(*model))
                          : check_card(card, *model, [&](const std::vector<at::Tensor>& inputs) {
                              return NamedOutputs{{"y", model->forward(inputs.front())}};
                            });
  result.model = component.name;
  return result;
}

}  // namespace residua
