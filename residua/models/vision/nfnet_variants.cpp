// The table of networks without normalisation.

#include <fmt/format.h>

#include "residua/models/vision/nfnet.h"

namespace residua {

namespace {

struct NfWeights {
  const char* file = nullptr;  // of timm's releases
  int64_t input_size = 0;      // in evaluation
  double crop_fraction = 0;
};

struct NfEntry {
  std::string name, help, paper;
  NfNetOptions options = {};
  int64_t input_size = 224;  // in training
  NfWeights weights = {};
};

std::vector<NfEntry> nf_resnets() {
  std::vector<NfEntry> entries;
  const auto add = [&](int64_t depth, std::vector<int64_t> depths) -> NfEntry& {
    entries.push_back({fmt::format("nf_resnet{}", depth),
                       fmt::format("ResNet-{} without normalisation", depth),
                       "nf-resnet",
                       {.depths = std::move(depths)}});
    return entries.back();
  };
  add(26, {2, 2, 2, 2});
  NfEntry& known = add(50, {3, 4, 6, 3});
  known.input_size = 256;
  known.weights = {"v0.1-weights/nf_resnet50_ra2-9f236009", 288, 0.94};
  add(101, {3, 4, 23, 3});
  return entries;
}

std::vector<NfEntry> nf_regnets() {
  struct Row {
    std::vector<int64_t> depths, channels;
    int64_t input_size;
  };
  const Row rows[] = {
      {{1, 3, 6, 6}, {48, 104, 208, 440}, 192},   {{2, 4, 7, 7}, {48, 104, 208, 440}, 256},
      {{2, 4, 8, 8}, {56, 112, 232, 488}, 240},   {{2, 5, 9, 9}, {56, 128, 248, 528}, 288},
      {{2, 6, 11, 11}, {64, 144, 288, 616}, 320}, {{3, 7, 14, 14}, {80, 168, 336, 704}, 384}};
  std::vector<NfEntry> entries;
  for (const Row& row : rows) {
    const size_t i = entries.size();
    entries.push_back({fmt::format("nf_regnet_b{}", i),
                       fmt::format("RegNet-B{} without normalisation", i),
                       "nf-resnet",
                       {.depths = row.depths,
                        .channels = row.channels,
                        .width_factor = 0.75,
                        .stem = NfStem::conv3x3,
                        .stem_channels = row.channels.front(),
                        .head_channels = 1280 * row.channels.back() / 440,
                        .bottle_ratio = 2.25,
                        .expand_input = true,
                        .group_size = 8,
                        .se_ratio = 0.5,
                        .act = Activation::silu},
                       row.input_size});
  }
  entries[1].weights = {"v0.1-weights/nf_regnet_b1_256_ra2-ad85cfef", 288, 0.9};
  return entries;
}

std::vector<NfEntry> dm_nfnets() {
  struct Row {
    int64_t train_size, test_size;
    double crop_fraction, dropout;
    const char* file;
  };
  const Row rows[] = {{192, 256, 0.9, 0.2, "v0.1-dnf-weights/dm_nfnet_f0-604f9c3a"},
                      {224, 320, 0.91, 0.3, "v0.1-dnf-weights/dm_nfnet_f1-fc540f82"},
                      {256, 352, 0.92, 0.4, "v0.1-dnf-weights/dm_nfnet_f2-89875923"},
                      {320, 416, 0.94, 0.4, "v0.1-dnf-weights/dm_nfnet_f3-d74ab3aa"},
                      {384, 512, 0.951, 0.5, "v0.1-dnf-weights/dm_nfnet_f4-0ac5b10b"},
                      {416, 544, 0.954, 0.5, "v0.1-dnf-weights/dm_nfnet_f5-ecb20ab1"},
                      {448, 576, 0.956, 0.5, "v0.1-dnf-weights/dm_nfnet_f6-e0f12116"}};
  std::vector<NfEntry> entries;
  for (const Row& row : rows) {
    const auto i = static_cast<int64_t>(entries.size()), n = i + 1;
    entries.push_back({fmt::format("dm_nfnet_f{}", i),
                       fmt::format("NFNet-F{}", i),
                       "nfnets",
                       {.depths = {n, 2 * n, 6 * n, 3 * n},
                        .channels = {256, 512, 1536, 1536},
                        .stem = NfStem::deep_quad,
                        .stem_channels = 128,
                        .head_channels = 3072,
                        .bottle_ratio = 0.5,
                        .group_size = 128,
                        .extra_conv = true,
                        .se_ratio = 0.5,
                        .skipinit = true,
                        .act = Activation::gelu,
                        .gamma_in_act = true,
                        .same_padding = true,
                        .dropout = row.dropout,
                        .drop_path = 0.25},
                       row.train_size,
                       {row.file, row.test_size, row.crop_fraction}});
  }
  return entries;
}

std::vector<WeightsInfo> nf_weights(const NfWeights& weights) {
  constexpr const char* kReleases =
      "https://github.com/rwightman/pytorch-image-models/releases/download/";
  return {{.url = fmt::format("{}{}.pth", kReleases, weights.file),
           .licence = "Apache-2.0",
           .input_size = weights.input_size,
           .crop_fraction = weights.crop_fraction,
           .mean = {0.485, 0.456, 0.406},
           .stddev = {0.229, 0.224, 0.225}}};
}

// Whether published weights of `a` fit `b`, but for the classifier.
bool same_nf_architecture(const NfNetOptions& a, NfNetOptions b) {
  b.num_classes = a.num_classes;
  b.dropout = a.dropout;
  b.drop_path = a.drop_path;
  return options_to_json(a) == options_to_json(b);
}

}  // namespace

void add_nfnets(Registry<Model, Random>& models) {
  for (const auto& family : {nf_resnets(), nf_regnets(), dm_nfnets()})
    for (const NfEntry& entry : family)
      models.add<NfNetOptions>({entry.name, entry.help, entry.paper}, entry.options,
                               [entry](const NfNetOptions& o, const Random& random) {
                                 auto model = std::make_shared<NfNet>(o, random);
                                 model->set_input_size(entry.input_size);
                                 if (entry.weights.file && same_nf_architecture(o, entry.options))
                                   model->set_weights(nf_weights(entry.weights));
                                 return model;
                               });
}

}  // namespace residua
