#include "residua/models/vision/resnet_cifar.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/models/classifier.h"

namespace residua {

void ResNetCifarOptions::fields(Fields& f) {
  f.add("n", n, "blocks in each of the three stages; the depth is 6 n + 2", {.min = 1});
  f.add("width", width, "channels of the first stage; doubled at the second and third", {.min = 1});
  f.add("num_classes", num_classes, "size of the output", {.min = 1});
  f.add("in_channels", in_channels, "channels of the images", {.min = 1});
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

StageOptions cifar_stages(const ResNetCifarOptions& o) {
  return {.counts = {o.n, o.n, o.n},
          .width = o.width,
          .first = {.in = o.width,
                    .shortcut = o.shortcut,
                    .shortcut_name = "shortcut",
                    .order = o.order,
                    .zero_init_residual = o.zero_init_residual,
                    .init = o.init},
          .norm = o.norm,
          .connection = o.connection};
}

}  // namespace

ResNetCifar::ResNetCifar(const ResNetCifarOptions& options, const Random& random,
                         const std::string& classifier)
    : StagedResNet(cifar_stages(options), random), options_(options) {
  info_.num_classes = options.num_classes;
  info_.in_channels = options.in_channels;
  info_.input_height = info_.input_width = 32;
  add_stem({.kernel = 3, .stride = 1}, random);
  add_stages(random);
  add_head(classifier, random);
}

at::Tensor ResNetCifar::forward(at::Tensor x) { return run_head(run_stages(run_stem(x))); }

std::vector<at::Tensor> ResNetCifar::features(at::Tensor x) {
  std::vector<at::Tensor> levels;
  run_stages(run_stem(x), &levels);
  return levels;
}

void ResNetCifar::reset_classifier(int64_t num_classes, Random random) {
  replace_classifier(num_classes, random);
  options_.num_classes = num_classes;
}

// --- the table of models
// -----------------------------------------------------------------------------------

namespace {

struct CifarEntry {
  const char* name;
  int64_t n;
  const char* file;    // of akamaster/pytorch_resnet_cifar10, trained on CIFAR-10
  const char* sha256;  // where known
};

constexpr CifarEntry kCifarTable[] = {
    {"resnet20", 3, "resnet20-12fca82f",
     "12fca82f0bebc4135bf1f32f6e3710e61d5108578464b84fd6d7f5c1b04036c8"},
    {"resnet32", 5, "resnet32-d509ac18",
     "d509ac1820d7f25398913559d7e81a13229b1e7adc5648e3bfa5e22dc137f850"},
    {"resnet44", 7, "resnet44-014dd654",
     "014dd6541728a1c700b1642ab640e211dc6eb8ed507d70697458dc8f8a0ae2e4"},
    {"resnet56", 9, "resnet56-4bfd9763",
     "4bfd97631478d6b638d2764fd2baff3edb1d7d82252d54439343b6596b9b5367"},
    {"resnet110", 18, "resnet110-1d1ed7c2", ""},
    {"resnet1202", 200, "resnet1202-f3b1deed", ""},
};

WeightsInfo cifar_weights(const CifarEntry& entry) {
  return {
      .url = fmt::format(
          "https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models/{}.th",
          entry.file),
      .sha256 = entry.sha256,
      .licence = "BSD-2-Clause",
      .input_size = 32,
      .crop_fraction = 1,
      .mean = {0.485, 0.456, 0.406},
      .stddev = {0.229, 0.224, 0.225}};
}

}  // namespace

void add_cifar_resnets(Registry<Model, Random>& models) {
  for (const CifarEntry& entry : kCifarTable) {
    const ResNetCifarOptions defaults{.n = entry.n};
    models.add<ResNetCifarOptions>(
        {entry.name, fmt::format("ResNet-{} for 32x32 images", 6 * entry.n + 2), "resnet"},
        defaults, [entry, defaults](const ResNetCifarOptions& o, const Random& random) {
          auto model = std::make_shared<ResNetCifar>(o, random);
          if (same_architecture(o, defaults)) model->set_weights({cifar_weights(entry)});
          return model;
        });
  }
  models.add<ResNetCifarOptions>(
      {"resnet_cifar", "ResNet of depth 6 n + 2 for small images", "resnet"}, {},
      [](const ResNetCifarOptions& o, const Random& random) {
        return std::make_shared<ResNetCifar>(o, random);
      });
}

}  // namespace residua
