#include "residua/models/vision/nfnet.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/models/classifier.h"
#include "residua/nn/drop_path.h"
#include "residua/nn/init.h"

namespace residua {

void NfNetOptions::fields(Fields& f) {
  f.add("depths", depths, "blocks in each stage", {.min = 1});
  f.add("channels", channels, "of each stage, before width_factor", {.min = 1});
  f.add("width_factor", width_factor, "multiplies all channels, which become multiples of 8",
        {.min = 0, .open_min = true});
  f.add("stem", stem, "first convolutions");
  f.add("stem_channels", stem_channels, "that the stem puts out, before width_factor", {.min = 1});
  f.add("head_channels", head_channels,
        "of a last 1x1 convolution, before width_factor; 0: without", {.min = 0});
  f.add("bottle_ratio", bottle_ratio, "inner channels of a block over its output's",
        {.min = 0, .open_min = true});
  f.add(
      "expand_input", expand_input,
      "bottle_ratio counts from a block's input (1 in the first block), and squeeze-and-excitation "
      "acts inside, as in RegNets");
  f.add("group_size", group_size, "channels of a group of the 3x3 convolutions; 0: one group",
        {.min = 0});
  f.add("extra_conv", extra_conv, "a second 3x3 convolution in each block");
  f.add("se_ratio", se_ratio, "inner channels of squeeze-and-excitation; 0: without", {.min = 0});
  f.add("alpha", alpha, "multiplies every branch", {.min = 0, .open_min = true});
  f.add("skipinit", skipinit, "one learned gain for each branch that begins at 0");
  f.add("act", act, "activation");
  f.add("gamma_in_act", gamma_in_act,
        "multiply activations, not weights, by the constant that keeps the variance");
  f.add("same_padding", same_padding, "pad as TensorFlow does");
  f.add("dropout", dropout, "before the classifier", {.min = 0, .max = 1, .open_max = true});
  f.add("drop_path", drop_path, "stochastic depth of the last block, rising from 0 at the first",
        {.min = 0, .max = 1, .open_max = true});
  f.add("num_classes", num_classes, "size of the output", {.min = 1});
  f.add("in_channels", in_channels, "channels of the images", {.min = 1});
}

namespace {

constexpr int64_t kNfChannelUnit = 8;
constexpr double kNfClassifierStd = 0.01;

int64_t nf_width(const NfNetOptions& o, int64_t channels) {
  return round_channels(static_cast<double>(channels) * o.width_factor, kNfChannelUnit);
}

std::vector<Site> nf_sites(const NfNetOptions& o) {
  if (o.depths.empty() || o.depths.size() != o.channels.size())
    throw Error(ErrorKind::invalid_argument,
                {.where = "model.channels",
                 .rule = "must name the channels of every stage",
                 .expected = fmt::format("{} numbers", o.depths.size()),
                 .received = fmt::format("{}", o.channels.size())});
  std::vector<Site> sites;
  int64_t channels = nf_width(o, o.stem_channels);
  for (size_t s = 0; s < o.depths.size(); ++s)
    for (int64_t i = 0; i < o.depths[s]; ++i) {
      const int64_t out = nf_width(o, o.channels[s]);
      const bool halves = i == 0 && (s > 0 || o.stem == NfStem::conv3x3);
      sites.push_back({.block = static_cast<int64_t>(sites.size()),
                       .kind = SiteKind::conv,
                       .stage = static_cast<int64_t>(s),
                       .c_in = channels,
                       .c_out = out,
                       .stride = halves ? 2 : 1});
      channels = out;
    }
  return sites;
}

NfBlockOptions nf_block_options(const NfNetOptions& o, const Site& site) {
  const double ratio = o.expand_input && site.block == 0 ? 1 : o.bottle_ratio;
  const int64_t of = o.expand_input ? site.c_in : site.c_out;
  NfBlockOptions b{.in = site.c_in,
                   .inner = round_channels(static_cast<double>(of) * ratio, kNfChannelUnit),
                   .out = site.c_out,
                   .stride = site.stride,
                   .extra_conv = o.extra_conv,
                   .skipinit = o.skipinit,
                   .se_ratio = o.se_ratio,
                   .se_inside = o.expand_input};
  if (o.group_size == 0) return b;
  b.groups = b.inner / o.group_size;
  if (b.groups == 0)
    throw Error(ErrorKind::invalid_argument, {.where = "model.group_size",
                                              .rule = "is more than a block's inner channels",
                                              .expected = fmt::format("at most {}", b.inner),
                                              .received = fmt::format("{}", o.group_size)});
  if (o.group_size % kNfChannelUnit == 0) b.inner = b.groups * o.group_size;
  return b;
}

// The classifier of the reference: small weights, no bias.
void init_nf_classifier(Linear& fc, const Random& random) {
  zero_weights(fc);
  const at::Tensor weight = at::empty(fc.weight.sizes(), at::kFloat);
  fill_normal(weight, kNfClassifierStd, random.split("weight"));
  fc.weight.detach().copy_(weight);
}

}  // namespace

NfNet::NfNet(const NfNetOptions& options, const Random& random)
    : options_(options),
      layers_{.act = options.act,
              .gamma_in_act = options.gamma_in_act,
              .same_padding = options.same_padding} {
  const NfNetOptions& o = options_;
  info_ = {.num_classes = o.num_classes, .in_channels = o.in_channels, .classifier = "head.fc"};
  connect({"nf", Json{{"alpha", o.alpha}}}, {.kind = CarrierKind::cnn, .sites = nf_sites(o)},
          random);
  add_stem(random.split("stem"));
  add_blocks(random);
  int64_t channels = carrier().sites.back().c_out;
  if (o.head_channels > 0) {
    const int64_t wide = nf_width(o, o.head_channels);
    final_conv_ = register_module(
        "final_conv", layers_.conv(channels, wide, 1, 1, 1, random.split("final_conv")));
    channels = wide;
    info_.levels.back().name = "final_conv";
    info_.levels.back().channels = wide;
  }
  head_ = register_module("head", std::make_shared<torch::nn::Module>("ClassifierHead"));
  pool_ = head_->register_module("global_pool", std::make_shared<GlobalAveragePool>());
  fc_ = head_->register_module("fc", linear(channels, o.num_classes, {}, random.split("fc")));
  init_nf_classifier(*fc_, random.split("fc"));
}

void NfNet::add_stem(const Random& random) {
  const auto stem = register_module("stem", std::make_shared<torch::nn::Module>("Stem"));
  const int64_t out = nf_width(options_, options_.stem_channels);
  int64_t channels = options_.in_channels;
  const auto add = [&](const std::string& name, int64_t wide, int64_t kernel, int64_t stride) {
    stem_convs_.push_back(stem->register_module(
        name, layers_.conv(channels, wide, kernel, stride, 1, random.split(name))));
    channels = wide;
  };
  switch (options_.stem) {
    case NfStem::conv3x3: add("conv", out, 3, 2); break;
    case NfStem::conv7x7_pool:
      add("conv", out, 7, 2);
      stem_pool_ = stem->register_module("pool", std::make_shared<MaxPool2d>(3, 2, 1));
      break;
    case NfStem::deep_quad:
      add("conv1", out / 8, 3, 2);
      add("conv2", out / 4, 3, 1);
      add("conv3", out / 2, 3, 1);
      add("conv4", out, 3, 2);
      break;
  }
}

void NfNet::add_blocks(const Random& random) {
  const auto stages = register_module("stages", std::make_shared<torch::nn::Module>("Stages"));
  const std::vector<double> rates =
      drop_path_rates(options_.drop_path, static_cast<int64_t>(carrier().sites.size()));
  std::shared_ptr<torch::nn::Module> stage;
  int64_t reduction = options_.stem == NfStem::conv3x3 ? 2 : 4, in_stage = 0;
  for (const Site& site : carrier().sites) {
    const std::string name = std::to_string(site.stage);
    if (site.stage == static_cast<int64_t>(info_.levels.size())) {
      stage = stages->register_module(name, std::make_shared<torch::nn::Module>("Stage"));
      reduction *= site.stride;
      info_.levels.push_back({"stages." + name, site.c_out, reduction});
      in_stage = 0;
    }
    NfBlockOptions b = nf_block_options(options_, site);
    b.drop_path = rates[static_cast<size_t>(site.block)];
    b.input_scale = connection_->style(site).input_scale;
    b.layers = layers_;
    const std::string index = std::to_string(in_stage++);
    blocks_.push_back(stage->register_module(
        index, std::make_shared<NfBlock>(b, random.split("stages." + name).split(index))));
    built(site.branch, *blocks_.back(), random);
  }
}

at::Tensor NfNet::run_stem(const at::Tensor& x) {
  check_input(x);
  at::Tensor y = stem_convs_.front()->forward(x);
  for (size_t i = 1; i < stem_convs_.size(); ++i) y = stem_convs_[i]->forward(layers_.activated(y));
  return stem_pool_ ? stem_pool_->forward(y) : y;
}

at::Tensor NfNet::run_blocks(const at::Tensor& x, std::vector<at::Tensor>* levels) {
  struct Entered {  // a shortcut starts from what its branch has computed of the same x
    at::Tensor x, y;
  };
  const auto seen = std::make_shared<Entered>();
  const auto block_of = [this](const Site& site) -> NfBlock& {
    return *blocks_[static_cast<size_t>(site.branch)];
  };
  StreamParts parts{.schedule = schedule()};
  parts.branch = [block_of, seen](const Site& site, const at::Tensor& input, State&) {
    *seen = {};
    if (!site.has_shortcut()) return block_of(site).branch(input, nullptr);
    seen->x = input;
    return block_of(site).branch(input, &seen->y);
  };
  parts.shortcut = [block_of, seen](const Site& site, const at::Tensor& stream) {
    return block_of(site).shortcut(stream, stream.is_same(seen->x) ? seen->y : at::Tensor());
  };
  if (levels)
    parts.visit = [&](const Site& site, const State& state) {
      const auto next = static_cast<size_t>(site.step) + 1;
      if (next == schedule().size() || schedule()[next].stage != site.stage)
        levels->push_back(connection_->finish(state));
    };
  const at::Tensor y = run(x, parts);
  if (!final_conv_) return y;
  const at::Tensor wide = final_conv_->forward(y);
  if (levels) levels->back() = wide;
  return wide;
}

at::Tensor NfNet::forward(at::Tensor x) {
  const at::Tensor pooled = pool_->forward(layers_.activated(run_blocks(run_stem(x))));
  return fc_->forward(at::dropout(pooled, options_.dropout, is_training()));
}

std::vector<at::Tensor> NfNet::features(at::Tensor x) {
  std::vector<at::Tensor> levels;
  run_blocks(run_stem(x), &levels);
  return levels;
}

void NfNet::reset_classifier(int64_t num_classes, Random random) {
  fc_ = head_->replace_module("fc", fresh_classifier(*fc_, num_classes, random));
  init_nf_classifier(*fc_, random);
  info_.num_classes = options_.num_classes = num_classes;
}

}  // namespace residua
