#include "residua/models/vision/skipnet.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"

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

}  // namespace residua
