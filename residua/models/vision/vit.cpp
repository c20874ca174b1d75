#include "residua/models/vision/vit.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <regex>

#include "residua/core/error.h"
#include "residua/models/classifier.h"
#include "residua/nn/init.h"

namespace residua {

namespace {

// timm truncates its normal numbers at +-2, which is 100 standard deviations away.
constexpr double kVitStddev = 0.02, kClassTokenStddev = 1e-6, kVitNormEps = 1e-6;

TransformerBlockOptions vit_block_options(const VitOptions& o) {
  const auto hidden = static_cast<int64_t>(o.mlp_ratio * static_cast<double>(o.dim));
  return {.norm_eps = kVitNormEps,
          .layer_scale = o.layer_scale,
          .attention = {.dim = o.dim,
                        .heads = o.heads,
                        .bias = o.qkv_bias,
                        .weight_dropout = o.attn_drop,
                        .output_dropout = o.drop,
                        .stddev = kVitStddev,
                        .output_stddev = kVitStddev},
          .mlp = {.dim = o.dim,
                  .hidden = std::max<int64_t>(1, hidden),
                  .hidden_dropout = o.drop,
                  .output_dropout = o.drop,
                  .stddev = kVitStddev,
                  .output_stddev = kVitStddev}};
}

// PyTorch's own first weights of a convolution, which timm leaves.
std::shared_ptr<Conv2d> patch_projection(const VitOptions& o, const Random& random) {
  auto conv = conv2d(o.in_channels, o.dim, o.patch, {.stride = o.patch, .bias = true}, random);
  const double bound = 1 / std::sqrt(static_cast<double>(o.in_channels * o.patch * o.patch));
  fill_uniform(conv->weight.detach(), bound, random.split("weight"));
  fill_uniform(conv->bias.detach(), bound, random.split("bias"));
  return conv;
}

// A branch's parts under timm's names for branches side by side.
template <class Branch, class Core>
void register_branch(torch::nn::Module& home, const std::string& name, const Branch& branch,
                     const std::shared_ptr<Core>& core) {
  if (branch.norm) home.register_module("norm", branch.norm);
  home.register_module(name, core);
  if (branch.scale) home.register_module("ls", branch.scale);
}

}  // namespace

void VitOptions::fields(Fields& f) {
  f.add("image_size", image_size, "height and width of the images", {.min = 1});
  f.add("patch", patch, "height and width of a patch; divides image_size", {.min = 1});
  f.add("dim", dim, "width of the stream", {.min = 1});
  f.add("depth", depth, "blocks", {.min = 1});
  f.add("branches", branches,
        "attentions, and MLPs, of a block, for the connection `parallel` with k of as many; with "
        "other connections they follow one another",
        {.min = 1});
  f.add("heads", heads, "of each attention; divides dim", {.min = 1});
  f.add("mlp_ratio", mlp_ratio, "inner width of an MLP over the stream's",
        {.min = 0, .open_min = true});
  f.add("qkv_bias", qkv_bias, "bias of queries, keys and values");
  f.add("layer_scale", layer_scale, "first value of a learned gain after each branch; 0: none");
  f.add("stem", stem, "patches to vectors: one linear map, or three (patch a multiple of 4)");
  f.add("pool", pool, "what the classifier sees: the class token, or the mean over the patches");
  f.add("drop", drop, "dropout of embeddings and of the branches' linear layers",
        {.min = 0, .max = 1, .open_max = true});
  f.add("attn_drop", attn_drop, "dropout of attention weights",
        {.min = 0, .max = 1, .open_max = true});
  f.add("num_classes", num_classes, "size of the output", {.min = 1});
  f.add("in_channels", in_channels, "channels of the images", {.min = 1});
  f.add("connection", connection,
        "how the residual stream is read and merged: a name of `residua list connections`, and its "
        "options");
}

Vit::Vit(const VitOptions& options, const Random& random) : options_(options) {
  const VitOptions& o = options_;
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
  connect(o.connection,
          {.kind = CarrierKind::vit, .sites = transformer_sites(o.depth * o.branches, o.dim)},
          random);

  const int64_t side = o.image_size / o.patch;
  cls_token_ = register_parameter("cls_token", torch::empty({1, 1, o.dim}));
  fill_normal(cls_token_.detach(), kClassTokenStddev, random.split("cls_token"));
  pos_embed_ = register_parameter("pos_embed", torch::empty({1, 1 + side * side, o.dim}));
  fill_normal(pos_embed_.detach(), kVitStddev, random.split("pos_embed"));
  add_stem(random);
  add_blocks(random);
  const EndStyle ends = connection_->ends();
  if (ends.norm)
    norm_ = register_module(o.pool == VitPool::token ? "norm" : "fc_norm",
                            vector_norm(VectorNormKind::layer, o.dim, kVitNormEps, true));
  if (ends.scalars) bias2_ = register_parameter("bias2", torch::zeros({1}));
  head_ = register_module(
      "head", linear(o.dim, o.num_classes, {.stddev = kVitStddev}, random.split("head")));
  if (ends.zero_classifier) zero_weights(*head_);
  connection_->set_readout([this](const at::Tensor& tokens) { return head(tokens); });
}

void Vit::add_stem(const Random& random) {
  const VitOptions& o = options_;
  const auto patches =
      register_module("patch_embed", std::make_shared<torch::nn::Module>("PatchEmbed"));
  const Random own = random.split("patch_embed.proj");
  if (o.stem == VitStem::patch)
    proj_ = patches->register_module("proj", patch_projection(o, own));
  else
    hmlp_ = patches->register_module(
        "proj", std::make_shared<HmlpStem>(o.in_channels, o.dim, o.patch, own));
}

void Vit::add_blocks(const Random& random) {
  const VitOptions& o = options_;
  const auto list = register_module("blocks", std::make_shared<torch::nn::Module>("Blocks"));
  std::shared_ptr<torch::nn::Module> attns, ffns;
  for (int64_t i = 0; i < o.depth * o.branches; ++i) {
    if (!runs(2 * i)) continue;  // shares the weights of another one
    const std::string name = std::to_string(i / o.branches), place = std::to_string(i % o.branches);
    const auto block = std::make_shared<TransformerBlock>(
        vit_block_options(o), connection_->style(site_of(2 * i)),
        connection_->style(site_of(2 * i + 1)), random.split("blocks").split(std::to_string(i)));
    blocks_.push_back(block);
    if (o.branches == 1) {
      list->register_module(name, block);
    } else {
      if (i % o.branches == 0) {
        const auto group =
            list->register_module(name, std::make_shared<torch::nn::Module>("ParallelBlock"));
        attns = group->register_module("attns", std::make_shared<torch::nn::Module>("Attentions"));
        ffns = group->register_module("ffns", std::make_shared<torch::nn::Module>("Mlps"));
      }
      const auto home = [&](torch::nn::Module& all) {
        return all.register_module(place, std::make_shared<torch::nn::Module>("Branch"));
      };
      register_branch(*home(*attns), "attn", *block->attention, block->attention->attention);
      register_branch(*home(*ffns), "mlp", *block->mlp, block->mlp->mlp);
    }
    built(2 * i, *block->attention, random);
    built(2 * i + 1, *block->mlp, random);
    if (i % o.branches == 0) info_.levels.push_back({"blocks." + name, o.dim, o.patch});
  }
}

at::Tensor Vit::embed(const at::Tensor& x) {
  check_input(x);
  const at::Tensor patches =
      (proj_ ? proj_->forward(x) : hmlp_->forward(x)).flatten(2).transpose(1, 2);
  const at::Tensor token = cls_token_.expand({x.size(0), -1, -1});
  const at::Tensor tokens = at::cat({token, patches}, 1) + pos_embed_;
  return options_.drop > 0 ? at::dropout(tokens, options_.drop, is_training()) : tokens;
}

StreamParts Vit::stream_parts() {
  return {
      .schedule = schedule(),
      .branch = [this](const Site& site, const at::Tensor& input, State& state) {
        const TransformerBlock& block = *blocks_[static_cast<size_t>(site.block)];
        if (site.sublayer == 1) return block.mlp->forward(input);
        return block.attention->forward(
            input,
            {.connection = connection(), .site = site, .state = state, .visit = visit_attention_});
      }};
}

at::Tensor Vit::run_blocks(const at::Tensor& tokens) { return run(tokens, stream_parts()); }

at::Tensor Vit::head(const at::Tensor& tokens) {
  at::Tensor pooled = options_.pool == VitPool::token
                          ? tokens.select(1, 0)
                          : tokens.narrow(1, 1, tokens.size(1) - 1).mean(1);
  if (norm_) pooled = norm_->forward(pooled);
  return head_->forward(bias2_.defined() ? pooled + bias2_ : pooled);
}

at::Tensor Vit::forward(at::Tensor x) { return head(run_blocks(embed(x))); }

std::vector<at::Tensor> Vit::features(at::Tensor x) {
  const int64_t side = options_.image_size / options_.patch;
  std::map<int64_t, at::Tensor> last;  // by the block whose weights a site runs
  StreamParts parts = stream_parts();
  parts.visit = [&](const Site& site, const State& state) {
    const at::Tensor tokens = connection_->finish(state);
    last[site.branch / 2 / options_.branches] =
        tokens.narrow(1, 1, tokens.size(1) - 1).transpose(1, 2).unflatten(2, {side, side});
  };
  run(embed(x), parts);
  std::vector<at::Tensor> levels;
  for (const auto& [block, level] : last) levels.push_back(level);
  return levels;
}

void Vit::reset_classifier(int64_t num_classes, Random random) {
  head_ = replace_module("head", fresh_classifier(*head_, num_classes, random));
  if (connection_->ends().zero_classifier) zero_weights(*head_);
  info_.num_classes = options_.num_classes = num_classes;
}

bool Vit::adopt(const std::string& name, const at::Tensor& tensor) {
  if (name != "pos_embed" || tensor.dim() != 3 || tensor.size(2) != options_.dim) return false;
  pos_embed_.detach().copy_(resize_positions(tensor, options_.image_size / options_.patch));
  return true;
}

at::Tensor resize_positions(const at::Tensor& pos_embed, int64_t side) {
  const int64_t dim = pos_embed.size(2);
  const auto old = std::lround(std::sqrt(static_cast<double>(pos_embed.size(1) - 1)));
  const at::Tensor grid =
      pos_embed.narrow(1, 1, old * old).transpose(1, 2).reshape({1, dim, old, old});
  const at::Tensor resized = at::upsample_bicubic2d(grid, {side, side}, /*align_corners=*/false);
  return at::cat({pos_embed.narrow(1, 0, 1), resized.flatten(2).transpose(1, 2)}, 1).contiguous();
}

NamedTensors seq_to_parallel(const NamedTensors& sequential, int64_t branches) {
  static const std::regex block(R"(blocks\.(\d+)\.(norm1|attn|ls1|norm2|mlp|ls2)\.(.*))");
  int64_t blocks = 0;
  NamedTensors parallel;
  for (const auto& [name, tensor] : sequential) {
    std::smatch part;
    if (!std::regex_match(name, part, block)) {
      parallel.emplace_back(name, tensor);
      continue;
    }
    const int64_t i = std::stoll(part[1]);
    blocks = std::max(blocks, i + 1);
    std::string module = part[2];
    const bool attention = module == "norm1" || module == "attn" || module == "ls1";
    if (module.back() == '1' || module.back() == '2') module.pop_back();
    parallel.emplace_back(
        fmt::format("blocks.{}.{}.{}.{}.{}", i / branches, attention ? "attns" : "ffns",
                    i % branches, module, part[3].str()),
        tensor);
  }
  if (blocks % branches != 0)
    throw Error(ErrorKind::invalid_argument, {.where = "seq_to_parallel",
                                              .rule = "needs whole groups of blocks",
                                              .expected = fmt::format("a multiple of {}", branches),
                                              .received = std::to_string(blocks)});
  return parallel;
}

// --- the table of models
// -----------------------------------------------------------------------------------

namespace {

struct VitEntry {
  const char* name;
  int64_t dim, heads;
  const char* weights;  // of timm on the Hugging Face hub
};

constexpr VitEntry kVitTable[] = {
    {"vit_tiny_patch16_224", 192, 3, "vit_tiny_patch16_224.augreg_in21k_ft_in1k"},
    {"vit_small_patch16_224", 384, 6, "vit_small_patch16_224.augreg_in21k_ft_in1k"},
    {"vit_base_patch16_224", 768, 12, "vit_base_patch16_224.augreg2_in21k_ft_in1k"},
};

WeightsInfo vit_weights(const VitEntry& entry) {
  return {.url = fmt::format("https://huggingface.co/timm/{}/resolve/main/model.safetensors",
                             entry.weights),
          .licence = "Apache-2.0",
          .crop_fraction = 0.9,
          .mean = {0.5, 0.5, 0.5},
          .stddev = {0.5, 0.5, 0.5}};
}

// Published weights fit, but for the classifier.
bool same_vit(VitOptions a, const VitOptions& b) {
  a.num_classes = b.num_classes;
  a.drop = b.drop;
  a.attn_drop = b.attn_drop;
  return options_to_json(a) == options_to_json(b);
}

// As many parameters in 36 blocks one after the other and in 18 of two branches; without published
// weights.
void add_three_things(Registry<Model, Random>& models) {
  struct Entry {
    const char* name;
    int64_t dim, heads, depth, branches;
  };
  for (const Entry& e : {Entry{"vit_small_patch16_36x1_224", 384, 6, 36, 1},
                         Entry{"vit_small_patch16_18x2_224", 384, 6, 18, 2},
                         Entry{"vit_base_patch16_18x2_224", 768, 12, 18, 2}}) {
    VitOptions defaults{.image_size = 224,
                        .patch = 16,
                        .dim = e.dim,
                        .depth = e.depth,
                        .branches = e.branches,
                        .heads = e.heads,
                        .layer_scale = 1e-5,
                        .num_classes = 1000};
    if (e.branches > 1) defaults.connection = {"parallel", {{"k", e.branches}}};
    models.add<VitOptions>(
        {e.name, fmt::format("vision transformer of {} blocks of {}", e.depth, e.branches),
         "three-things-vit"},
        defaults,
        [](const VitOptions& o, const Random& random) { return std::make_shared<Vit>(o, random); });
  }
}

}  // namespace

void add_vits(Registry<Model, Random>& models) {
  add_three_things(models);
  for (const VitEntry& entry : kVitTable) {
    const VitOptions defaults{.image_size = 224,
                              .patch = 16,
                              .dim = entry.dim,
                              .depth = 12,
                              .heads = entry.heads,
                              .num_classes = 1000};
    models.add<VitOptions>(
        {entry.name, fmt::format("vision transformer of width {}", entry.dim), "vit"}, defaults,
        [entry, defaults](const VitOptions& o, const Random& random) {
          auto model = std::make_shared<Vit>(o, random);
          if (same_vit(o, defaults)) model->set_weights({vit_weights(entry)});
          return model;
        });
  }
  models.add<VitOptions>(
      {"vit", "small vision transformer for small images", "vit"}, {},
      [](const VitOptions& o, const Random& random) { return std::make_shared<Vit>(o, random); });
}

}  // namespace residua
