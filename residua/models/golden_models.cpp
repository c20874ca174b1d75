// Which of our models a golden card is about.

#include <torch/torch.h>

#include <regex>

#include "residua/core/error.h"
#include "residua/models/golden.h"
#include "residua/models/golden_parts.h"
#include "residua/models/model.h"
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
  CardResult result = check_card(card, *model, [&](const std::vector<at::Tensor>& inputs) {
    return NamedOutputs{{"y", model->forward(inputs.front())}};
  });
  result.model = component.name;
  return result;
}

}  // namespace residua
