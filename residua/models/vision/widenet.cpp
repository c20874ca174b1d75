#include "residua/models/vision/widenet.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/models/classifier.h"
#include "residua/models/transformer_block.h"
#include "residua/nn/init.h"

namespace residua {

namespace {

constexpr double kWideNetStddev = 0.02, kWideNetNormEps = 1e-6;

}  // namespace

void WideNetOptions::fields(Fields& f) {
  blocks.fields(f);
  f.add("image_size", image_size, "height and width of the images", {.min = 1});
  f.add("patch", patch, "height and width of a patch; divides image_size", {.min = 1});
  f.add("representation", representation, "a linear layer and tanh before the classifier");
  f.add("num_classes", num_classes, "size of the output", {.min = 1});
  f.add("in_channels", in_channels, "channels of the images", {.min = 1});
}

WideNet::WideNet(const WideNetOptions& options, const Random& random) : options_(options) {
  const WideNetOptions& o = options_;
  const int64_t dim = o.blocks.dim, side = o.image_size / o.patch;
  if (o.image_size % o.patch != 0)
    throw Error(ErrorKind::invalid_argument,
                {.where = "model.patch",
                 .rule = "does not divide the image",
                 .expected = fmt::format("a divisor of {}", o.image_size),
                 .received = std::to_string(o.patch)});
  info_ = {.num_classes = o.num_classes,
           .in_channels = o.in_channels,
           .input_height = o.image_size,
           .input_width = o.image_size,
           .min_input = o.image_size,
           .max_input = o.image_size,
           .classifier = "head"};
  connect(o.blocks.connection,
          {.kind = CarrierKind::vit, .sites = transformer_sites(o.blocks.depth, dim)}, random);
  pos_embed_ = register_parameter("pos_embed", torch::empty({1, side * side, dim}));
  fill_normal(pos_embed_.detach(), kWideNetStddev, random.split("pos_embed"));
  const auto patches =
      register_module("patch_embed", std::make_shared<torch::nn::Module>("PatchEmbed"));
  proj_ = patches->register_module(
      "proj", conv2d(o.in_channels, dim, o.patch, {.stride = o.patch, .bias = true},
                     random.split("patch_embed.proj")));
  const double bound = 1 / std::sqrt(static_cast<double>(o.in_channels * o.patch * o.patch));
  fill_uniform(proj_->weight.detach(), bound, random.split("patch_embed.proj.weight"));
  blocks_ = std::make_unique<WideBlocks>(*this, o.blocks, kWideNetStddev, random.split("blocks"));
  for (int64_t i = 0; i < o.blocks.depth; ++i)
    info_.levels.push_back({blocks_->level_name(i), dim, o.patch});
  norm_ = register_module("norm", std::make_shared<LayerNorm>(dim, kWideNetNormEps));
  if (o.representation)
    representation_ = register_module("representation", linear(dim, dim, {.stddev = kWideNetStddev},
                                                               random.split("representation")));
  head_ = register_module(
      "head", linear(dim, o.num_classes, {.stddev = kWideNetStddev}, random.split("head")));
}

at::Tensor WideNet::embed(const at::Tensor& x) {
  check_input(x);
  return proj_->forward(x).flatten(2).transpose(1, 2) + pos_embed_;
}

StreamParts WideNet::stream_parts() {
  return {.schedule = schedule(),
          .branch = [this](const Site& site, const at::Tensor& input, State& state) {
            return blocks_->run(site, input, state, /*causal=*/false);
          }};
}

at::Tensor WideNet::run_blocks(const at::Tensor& tokens) { return run(tokens, stream_parts()); }

at::Tensor WideNet::forward(at::Tensor x) {
  at::Tensor y = norm_->forward(run_blocks(embed(x))).mean(1);
  if (representation_) y = representation_->forward(y).tanh();
  return head_->forward(y);
}

std::vector<at::Tensor> WideNet::features(at::Tensor x) {
  const int64_t side = options_.image_size / options_.patch;
  std::vector<at::Tensor> levels(static_cast<size_t>(options_.blocks.depth));
  StreamParts parts = stream_parts();
  parts.visit = [&](const Site& site, const State& state) {
    levels[static_cast<size_t>(site.block)] =
        connection_->finish(state).transpose(1, 2).unflatten(2, {side, side});
  };
  run(embed(x), parts);
  return levels;
}

void WideNet::reset_classifier(int64_t num_classes, Random random) {
  head_ = replace_module("head", fresh_classifier(*head_, num_classes, random));
  info_.num_classes = options_.num_classes = num_classes;
}

// Patch 16 at 224 pixels, four experts, as in the paper; the shapes are those of ViT.
void add_widenets(Registry<Model, Random>& models) {
  const auto make = [](const WideNetOptions& o, const Random& random) {
    return std::make_shared<WideNet>(o, random);
  };
  const auto preset = [](int64_t dim, int64_t depth, int64_t heads) {
    return WideNetOptions{.blocks = {.dim = dim, .depth = depth, .heads = heads},
                          .image_size = 224,
                          .patch = 16,
                          .num_classes = 1000};
  };
  models.add<WideNetOptions>(
      {"widenet", "vision transformer of one shared block with experts", "widenet"}, {}, make);
  models.add<WideNetOptions>({"widenet_base", "WideNet in the shape of ViT-B", "widenet"},
                             preset(768, 12, 12), make);
  models.add<WideNetOptions>({"widenet_large", "WideNet in the shape of ViT-L", "widenet"},
                             preset(1024, 24, 16), make);
  models.add<WideNetOptions>({"widenet_huge", "WideNet in the shape of ViT-H", "widenet"},
                             preset(1280, 32, 16), make);
}

}  // namespace residua
