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
  f.add("connection", connection,
        "how the residual stream is read and merged: a name of `residua list connections`, and its "
        "options");
  f.add("zero_init_residual", zero_init_residual, "begin with every residual branch at zero");
  f.add("init", init, "distribution of the first weights");
}

ResNetCifar::ResNetCifar(const ResNetCifarOptions& options, const Random& random)
    : options_(options) {
  const ResNetCifarOptions& o = options_;
  info_ = {.num_classes = o.num_classes,
           .in_channels = o.in_channels,
           .input_height = 32,
           .input_width = 32,
           .classifier = "linear"};
  conv1_ = register_module("conv1", conv2d(o.in_channels, o.width, 3,
                                           {.padding = 1, .init = o.init}, random.split("conv1")));
  if (o.order == BlockOrder::post)
    bn1_ = register_module("bn1", std::make_shared<BatchNorm2d>(o.width));
  const int64_t channels = add_stages(BlockKind::basic, {o.n, o.n, o.n}, o.width,
                                      {.in = o.width,
                                       .shortcut = o.shortcut,
                                       .shortcut_name = "shortcut",
                                       .order = o.order,
                                       .zero_init_residual = o.zero_init_residual,
                                       .init = o.init},
                                      o.connection, random);
  if (o.order == BlockOrder::pre)
    last_bn_ = register_module("bn", std::make_shared<BatchNorm2d>(channels));
  avgpool_ = register_module("avgpool", std::make_shared<GlobalAveragePool>());
  linear_ = register_module(
      "linear", linear(channels, o.num_classes, {.init = o.init}, random.split("linear")));
}

at::Tensor ResNetCifar::stem(const at::Tensor& x) {
  check_input(x);
  const at::Tensor y = conv1_->forward(x);
  return bn1_ ? batch_norm_act(*bn1_, y, Act::relu) : y;
}

at::Tensor ResNetCifar::head(const at::Tensor& x) {
  const at::Tensor y = last_bn_ ? batch_norm_act(*last_bn_, x, Act::relu) : x;
  return linear_->forward(avgpool_->forward(y));
}

at::Tensor ResNetCifar::forward(at::Tensor x) { return head(run_stages(stem(x))); }

std::vector<at::Tensor> ResNetCifar::features(at::Tensor x) {
  std::vector<at::Tensor> levels;
  run_stages(stem(x), &levels);
  return levels;
}

void ResNetCifar::reset_classifier(int64_t num_classes, Random random) {
  linear_ = replace_module("linear", fresh_classifier(*linear_, num_classes, random));
  info_.num_classes = options_.num_classes = num_classes;
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
