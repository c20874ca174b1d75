#include "residua/models/vision/fixup_resnet.h"

#include <fmt/format.h>

#include "residua/models/vision/resnet.h"
#include "residua/models/vision/resnet_cifar.h"

namespace residua {

void FixupCifarOptions::fields(Fields& f) {
  f.add("n", n, "blocks in each of the three stages; the depth is 6 n + 2", {.min = 1});
  f.add("width", width, "channels of the first stage; doubled at the second and third", {.min = 1});
  f.add("num_classes", num_classes, "size of the output", {.min = 1});
  f.add("in_channels", in_channels, "channels of the images", {.min = 1});
}

void FixupResNetOptions::fields(Fields& f) {
  f.add("block", block, "kind of residual block");
  f.add("layers", layers, "blocks in each stage", {.min = 1});
  f.add("width", width, "channels of the stem and inner channels of the first stage", {.min = 1});
  f.add("num_classes", num_classes, "size of the output", {.min = 1});
  f.add("in_channels", in_channels, "channels of the images", {.min = 1});
}

namespace {

std::shared_ptr<Model> make_fixup_cifar(const FixupCifarOptions& o, const Random& random) {
  return std::make_shared<ResNetCifar>(ResNetCifarOptions{.n = o.n,
                                                          .width = o.width,
                                                          .num_classes = o.num_classes,
                                                          .in_channels = o.in_channels,
                                                          .connection = "fixup"},
                                       random, "fc");
}

std::shared_ptr<Model> make_fixup_resnet(const FixupResNetOptions& o, const Random& random) {
  return std::make_shared<ResNet>(ResNetOptions{.block = o.block,
                                                .layers = o.layers,
                                                .width = o.width,
                                                .num_classes = o.num_classes,
                                                .in_channels = o.in_channels,
                                                .connection = "fixup"},
                                  random);
}

struct FixupEntry {
  const char* name;
  BlockKind block;
  std::array<int64_t, 4> layers;
};

constexpr FixupEntry kFixupTable[] = {
    {"fixup_resnet18", BlockKind::basic, {2, 2, 2, 2}},
    {"fixup_resnet34", BlockKind::basic, {3, 4, 6, 3}},
    {"fixup_resnet50", BlockKind::bottleneck, {3, 4, 6, 3}},
    {"fixup_resnet101", BlockKind::bottleneck, {3, 4, 23, 3}},
    {"fixup_resnet152", BlockKind::bottleneck, {3, 8, 36, 3}},
};

}  // namespace

void add_fixup_resnets(Registry<Model, Random>& models) {
  models.add<FixupCifarOptions>(
      {"fixup_resnet_cifar", "ResNet of depth 6 n + 2 for small images, without normalisation",
       "fixup"},
      {}, make_fixup_cifar);
  for (const int64_t n : {3, 5, 7, 9, 18, 200})
    models.add<FixupCifarOptions>(
        {fmt::format("fixup_resnet{}", 6 * n + 2),
         fmt::format("ResNet-{} for 32x32 images, without normalisation", 6 * n + 2), "fixup"},
        {.n = n}, make_fixup_cifar);
  for (const FixupEntry& entry : kFixupTable)
    models.add<FixupResNetOptions>(
        {entry.name, fmt::format("ResNet-{}, without normalisation", entry.name + 12), "fixup"},
        {.block = entry.block, .layers = {entry.layers.begin(), entry.layers.end()}},
        make_fixup_resnet);
}

}  // namespace residua
