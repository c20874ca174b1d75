#include "residua/models/tabular/mlp.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/models/classifier.h"
#include "residua/nn/weight_standard.h"

namespace residua {

void MlpOptions::fields(Fields& f) {
  f.add("depth", depth, "residual blocks", {.min = 1});
  f.add("width", width, "of the stream", {.min = 1});
  f.add("hidden_ratio", hidden_ratio, "inner width of a block over the stream's",
        {.min = 0, .open_min = true});
  f.add("act", act, "activation inside a block");
  f.add("norm", norm, "layer normalisation before each block and before the head");
  f.add("num_classes", num_classes, "size of the output", {.min = 1});
  f.add("in_channels", in_channels, "channels of the images", {.min = 1});
  f.add("image_size", image_size, "height and width of the images", {.min = 1});
  f.add("connection", connection,
        "how the residual stream is read and merged: a name of `residua list connections`, and its "
        "options");
}

namespace {

// Without a bias of its own where scalars take its place.
std::shared_ptr<WeightLayer> styled_linear(int64_t in, int64_t out, const BranchStyle& style,
                                           const Random& random) {
  if (style.weight_standard)
    return std::make_shared<ScaledStdLinear>(in, out, ScaledStdOptions{.bias = !style.scalars},
                                             random);
  return linear(in, out, {.bias = !style.scalars}, random);
}

}  // namespace

MlpBlock::MlpBlock(const MlpOptions& o, const BranchStyle& style, const Random& random)
    : torch::nn::Module("MlpBlock"), act_(o.act), input_scale_(style.input_scale) {
  const int64_t hidden =
      std::max<int64_t>(1, std::lround(o.hidden_ratio * static_cast<double>(o.width)));
  const bool normalises = o.norm && style.norm;
  if (normalises && style.leading)
    norm = register_module("norm", std::make_shared<LayerNorm>(o.width));
  if (style.weight_standard && !normalises) gamma_ = variance_gain(act_);
  const auto scalar = [&](const char* name, double value) {
    return style.scalars ? register_parameter(name, torch::full({1}, value)) : at::Tensor();
  };
  bias1a_ = scalar("bias1a", 0);
  fc1 = register_module("fc1", styled_linear(o.width, hidden, style, random.split("fc1")));
  bias1b_ = scalar("bias1b", 0);
  bias2a_ = scalar("bias2a", 0);
  fc2 = register_module("fc2", styled_linear(hidden, o.width, style, random.split("fc2")));
  scale_ = scalar("scale", 1);
  bias2b_ = scalar("bias2b", 0);
}

at::Tensor MlpBlock::forward(const at::Tensor& x) const {
  const auto shifted = [](const at::Tensor& t, const at::Tensor& bias) {
    return bias.defined() ? t + bias : t;
  };
  at::Tensor y = norm ? norm->forward(x) : x;
  if (input_scale_ != 1) y = y * input_scale_;
  y = activate(shifted(fc1->forward(shifted(y, bias1a_)), bias1b_), act_);
  if (gamma_ != 1) y = y * gamma_;
  y = fc2->forward(shifted(y, bias2a_));
  return scale_.defined() ? y * scale_ + bias2b_ : y;
}

Mlp::Mlp(const MlpOptions& options, const Random& random) : options_(options) {
  const MlpOptions& o = options_;
  info_ = {.num_classes = o.num_classes,
           .in_channels = o.in_channels,
           .input_height = o.image_size,
           .input_width = o.image_size,
           .min_input = o.image_size,
           .max_input = o.image_size,
           .classifier = "head"};
  std::vector<Site> sites;
  for (int64_t i = 0; i < o.depth; ++i)
    sites.push_back({.block = i, .kind = SiteKind::mlp, .c_in = o.width, .c_out = o.width});
  connect(o.connection, {.kind = CarrierKind::mlp, .sites = std::move(sites)}, random);

  const EndStyle ends = connection_->ends();
  stem_ = register_module(
      "stem", styled_linear(o.in_channels * o.image_size * o.image_size, o.width,
                            {.weight_standard = ends.weight_standard}, random.split("stem")));
  const auto list = register_module("blocks", std::make_shared<torch::nn::Module>("Blocks"));
  for (int64_t i = 0; i < o.depth; ++i) {
    if (!runs(i)) continue;  // shares the weights of another one
    const std::string name = std::to_string(i);
    blocks_.push_back(list->register_module(
        name, std::make_shared<MlpBlock>(o, connection_->style(site_of(i)),
                                         random.split("blocks").split(name))));
    built(i, *blocks_.back(), random);
    info_.levels.push_back({"blocks." + name, o.width, 0});
  }
  if (o.norm && ends.norm) norm_ = register_module("norm", std::make_shared<LayerNorm>(o.width));
  if (ends.scalars) bias2_ = register_parameter("bias2", torch::zeros({1}));
  head_ = register_module("head", linear(o.width, o.num_classes, {}, random.split("head")));
  if (ends.zero_classifier) zero_weights(*head_);
  connection_->set_readout([this](const at::Tensor& stream) { return classify(stream); });
}

at::Tensor Mlp::stem(const at::Tensor& x) {
  check_input(x);
  return stem_->forward(x.flatten(1));
}

at::Tensor Mlp::run_blocks(const at::Tensor& x) {
  return run(x, {.schedule = schedule(),
                 .branch = [this](const Site& site, const at::Tensor& input, State&) {
                   return blocks_[static_cast<size_t>(site.branch)]->forward(input);
                 }});
}

at::Tensor Mlp::classify(const at::Tensor& stream) {
  const at::Tensor y = norm_ ? norm_->forward(stream) : stream;
  return head_->forward(bias2_.defined() ? y + bias2_ : y);
}

at::Tensor Mlp::forward(at::Tensor x) { return classify(run_blocks(stem(x))); }

std::vector<at::Tensor> Mlp::features(at::Tensor x) {
  std::vector<at::Tensor> levels(blocks_.size());
  run(stem(x), {.schedule = schedule(),
                .branch =
                    [this](const Site& site, const at::Tensor& input, State&) {
                      return blocks_[static_cast<size_t>(site.branch)]->forward(input);
                    },
                .visit =
                    [&](const Site& site, const State& state) {
                      levels[static_cast<size_t>(site.branch)] = connection_->finish(state);
                    }});
  return levels;
}

void Mlp::reset_classifier(int64_t num_classes, Random random) {
  head_ = replace_module("head", fresh_classifier(*head_, num_classes, random));
  if (connection_->ends().zero_classifier) zero_weights(*head_);
  info_.num_classes = options_.num_classes = num_classes;
}

void add_mlps(Registry<Model, Random>& models) {
  models.add<MlpOptions>(
      {"mlp", "residual multi-layer perceptron on small images"}, {},
      [](const MlpOptions& o, const Random& random) { return std::make_shared<Mlp>(o, random); });
}

}  // namespace residua
