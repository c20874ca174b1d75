#include "residua/models/vision/resnet.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/models/classifier.h"

namespace residua {

void ResNetOptions::fields(Fields& f) {
  f.add("block", block, "kind of residual block");
  f.add("layers", layers, "blocks in each stage", {.min = 1});
  f.add("width", width,
        "channels of the stem and inner channels of the first stage; doubled at each further stage",
        {.min = 1});
  f.add("num_classes", num_classes, "size of the output", {.min = 1});
  f.add("in_channels", in_channels, "channels of the images", {.min = 1});
  f.add("groups", groups, "groups of the bottleneck's 3x3 convolution", {.min = 1});
  f.add("width_per_group", width_per_group,
        "inner channels of the bottleneck are planes * this / 64 * groups", {.min = 1});
  f.add("stride_in_1x1", stride_in_1x1,
        "stride in the bottleneck's first convolution, as in the paper");
  f.add("shortcut", shortcut,
        "A: subsampling and zero channels, B: projection where the shape changes, C: everywhere");
  f.add(
      "order", order,
      "post: normalisation and ReLU after convolutions and addition, pre: before the convolutions");
  f.add("norm", norm, "batch normalisation");
  f.add("connection", connection,
        "how the residual stream is read and merged: a name of `residua list connections`, and its "
        "options");
  f.add("zero_init_residual", zero_init_residual, "begin with every residual branch at zero");
  f.add("init", init, "distribution of the first weights");
}

namespace {

StageOptions resnet_stages(const ResNetOptions& o) {
  if (o.layers.empty() || o.layers.size() > 8)
    throw Error(ErrorKind::invalid_argument,
                {.where = "model.layers",
                 .rule = "names the blocks of 1 to 8 stages",
                 .received = fmt::format("{} stages", o.layers.size())});
  return {.block = o.block,
          .counts = o.layers,
          .width = o.width,
          .first = {.in = o.width,
                    .groups = o.groups,
                    .width_per_group = o.width_per_group,
                    .stride_in_1x1 = o.stride_in_1x1,
                    .shortcut = o.shortcut,
                    .order = o.order,
                    .zero_init_residual = o.zero_init_residual,
                    .init = o.init},
          .norm = o.norm,
          .connection = o.connection};
}

}  // namespace

ResNet::ResNet(const ResNetOptions& options, const Random& random)
    : StagedResNet(resnet_stages(options), random), options_(options) {
  info_.num_classes = options.num_classes;
  info_.in_channels = options.in_channels;
  add_stem({.kernel = 7, .stride = 2}, random);
  maxpool_ = register_module("maxpool", std::make_shared<MaxPool2d>(3, 2, 1));
  add_stages(random);
  for (FeatureLevel& level : info_.levels) level.reduction *= 4;
  add_head("fc", random);
}

at::Tensor ResNet::stem(const at::Tensor& x) { return maxpool_->forward(run_stem(x)); }

at::Tensor ResNet::forward(at::Tensor x) { return run_head(run_stages(stem(x))); }

std::vector<at::Tensor> ResNet::features(at::Tensor x) {
  std::vector<at::Tensor> levels;
  run_stages(stem(x), &levels);
  return levels;
}

void ResNet::reset_classifier(int64_t num_classes, Random random) {
  replace_classifier(num_classes, random);
  options_.num_classes = num_classes;
}

// --- the table of models
// -----------------------------------------------------------------------------------

namespace {

struct ResNetEntry {
  const char* name;
  const char* help;
  const char* paper;
  BlockKind block;
  std::array<int64_t, 4> layers;
  int64_t groups, width_per_group;
  std::array<const char*, 2> weights;  // files of torchvision: IMAGENET1K_V1, then IMAGENET1K_V2

  ResNetOptions options() const {
    return {.block = block,
            .layers = {layers.begin(), layers.end()},
            .groups = groups,
            .width_per_group = width_per_group};
  }
};

constexpr auto kBasic = BlockKind::basic, kBottleneck = BlockKind::bottleneck;
constexpr ResNetEntry kResNetTable[] = {
    {"resnet18", "ResNet-18", "resnet", kBasic, {2, 2, 2, 2}, 1, 64, {"resnet18-f37072fd"}},
    {"resnet34", "ResNet-34", "resnet", kBasic, {3, 4, 6, 3}, 1, 64, {"resnet34-b627a593"}},
    {"resnet50",
     "ResNet-50",
     "resnet",
     kBottleneck,
     {3, 4, 6, 3},
     1,
     64,
     {"resnet50-0676ba61", "resnet50-11ad3fa6"}},
    {"resnet101",
     "ResNet-101",
     "resnet",
     kBottleneck,
     {3, 4, 23, 3},
     1,
     64,
     {"resnet101-63fe2227", "resnet101-cd907fc2"}},
    {"resnet152",
     "ResNet-152",
     "resnet",
     kBottleneck,
     {3, 8, 36, 3},
     1,
     64,
     {"resnet152-394f9c45", "resnet152-f82ba261"}},
    {"resnext50_32x4d",
     "ResNeXt-50, 32 groups of 4 channels",
     "resnext",
     kBottleneck,
     {3, 4, 6, 3},
     32,
     4,
     {"resnext50_32x4d-7cdf4587", "resnext50_32x4d-1a0047aa"}},
    {"wide_resnet50_2",
     "ResNet-50 with bottlenecks twice as wide",
     "wide-resnet",
     kBottleneck,
     {3, 4, 6, 3},
     1,
     128,
     {"wide_resnet50_2-95faca4d", "wide_resnet50_2-9ba9bcbd"}},
};

std::vector<WeightsInfo> torchvision_weights(const ResNetEntry& entry) {
  std::vector<WeightsInfo> weights;
  for (const char* file : entry.weights) {
    if (!file) continue;
    weights.push_back(
        {.url = fmt::format("https://download.pytorch.org/models/{}.pth", file),
         .licence = "BSD-3-Clause",
         .crop_fraction = weights.empty() ? 224.0 / 256 : 224.0 / 232,  // V2 resizes to 232
         .mean = {0.485, 0.456, 0.406},
         .stddev = {0.229, 0.224, 0.225}});
  }
  return weights;
}

}  // namespace

void add_resnets(Registry<Model, Random>& models) {
  for (const ResNetEntry& entry : kResNetTable) {
    const ResNetOptions defaults = entry.options();
    models.add<ResNetOptions>({entry.name, entry.help, entry.paper}, defaults,
                              [entry, defaults](const ResNetOptions& o, const Random& random) {
                                auto model = std::make_shared<ResNet>(o, random);
                                if (same_architecture(o, defaults))
                                  model->set_weights(torchvision_weights(entry));
                                return model;
                              });
  }
}

}  // namespace residua
