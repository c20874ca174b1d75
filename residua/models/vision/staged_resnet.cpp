#include "residua/models/vision/staged_resnet.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>

#include "residua/models/classifier.h"
#include "residua/nn/weight_standard.h"

namespace residua {

namespace {

std::vector<Site> stage_sites(BlockKind kind, const std::vector<int64_t>& counts, int64_t width,
                              int64_t channels, bool projects) {
  std::vector<Site> sites;
  for (size_t s = 0; s < counts.size(); ++s) {
    const int64_t out = block_channels(kind, width << s);
    for (int64_t i = 0; i < counts[s]; ++i) {
      sites.push_back({.block = static_cast<int64_t>(sites.size()),
                       .kind = SiteKind::conv,
                       .stage = static_cast<int64_t>(s),
                       .c_in = channels,
                       .c_out = out,
                       .stride = s > 0 && i == 0 ? 2 : 1,
                       .projects = projects});
      channels = out;
    }
  }
  return sites;
}

}  // namespace

StagedResNet::StagedResNet(const StageOptions& options, const Random& random)
    : options_(options), channels_(options.first.in) {
  const StageOptions& o = options_;
  connect(o.connection,
          {.kind = CarrierKind::cnn,
           .sites =
               stage_sites(o.block, o.counts, o.width, o.first.in, o.first.shortcut == Shortcut::c),
           .post_activation = !pre()},
          random);
}

void StagedResNet::add_stem(const StemShape& shape, const Random& random) {
  const int64_t width = options_.first.in, padding = shape.kernel / 2;
  const Random own = random.split("conv1");
  std::shared_ptr<WeightLayer> conv;
  if (ends().weight_standard)
    conv = std::make_shared<ScaledStdConv2d>(
        info_.in_channels, width, shape.kernel,
        ScaledStdOptions{.stride = shape.stride, .padding = padding, .bias = !ends().norm}, own);
  else
    conv = conv2d(info_.in_channels, width, shape.kernel,
                  {.stride = shape.stride, .padding = padding, .init = options_.first.init}, own);
  conv1_ = register_module("conv1", std::move(conv));
  if (!pre() && ends().norm) bn1_ = register_module("bn1", std::make_shared<BatchNorm2d>(width));
  if (ends().scalars) bias1_ = register_parameter("bias1", torch::zeros({1}));
}

void StagedResNet::add_stages(const Random& random) {
  const StageOptions& so = options_;
  ResidualBlockOptions o = so.first;
  o.has_shortcut = connection_->has_shortcut();
  for (size_t s = 0; s < so.counts.size(); ++s) {
    const std::string name = fmt::format("layer{}", s + 1);
    o.planes = so.width << s;
    o.stride = s == 0 ? 1 : 2;
    // Where blocks share their weights, the first ones of the stage have them.
    const auto first_site = static_cast<int64_t>(blocks_.size());
    std::vector<BranchStyle> styles;
    while (static_cast<int64_t>(styles.size()) < so.counts[s] &&
           runs(first_site + static_cast<int64_t>(styles.size())))
      styles.push_back(style_of(first_site + static_cast<int64_t>(styles.size())));
    const auto stage = std::make_shared<Stage>(so.block, static_cast<int64_t>(styles.size()), o,
                                               random.split(name), styles);
    for (const auto& block : stage->blocks()) {
      blocks_.push_back(block);
      built(static_cast<int64_t>(blocks_.size()) - 1, *block, random);
    }
    blocks_.resize(static_cast<size_t>(first_site + so.counts[s]));
    stages_.push_back(register_module(name, stage));
    o.in = channels_ = block_channels(so.block, o.planes);
    info_.levels.push_back({name, channels_, int64_t{1} << s});
  }
}

void StagedResNet::add_head(const std::string& classifier, const Random& random) {
  if (pre() && ends().norm)
    last_bn_ = register_module("bn", std::make_shared<BatchNorm2d>(channels_));
  avgpool_ = register_module("avgpool", std::make_shared<GlobalAveragePool>());
  if (ends().scalars) bias2_ = register_parameter("bias2", torch::zeros({1}));
  info_.classifier = classifier;
  classifier_ =
      register_module(classifier, linear(channels_, info_.num_classes,
                                         {.init = options_.first.init}, random.split(classifier)));
  if (ends().zero_classifier) zero_weights(*classifier_);
  connection_->set_readout([this](const at::Tensor& stream) { return run_head(stream); });
}

BranchStyle StagedResNet::style_of(int64_t branch) const {
  BranchStyle style = connection_->style(site_of(branch));
  style.norm = style.norm && options_.norm;
  return style;
}

EndStyle StagedResNet::ends() const {
  EndStyle style = connection_->ends();
  style.norm = style.norm && options_.norm;
  return style;
}

at::Tensor StagedResNet::run_stem(const at::Tensor& x) {
  check_input(x);
  at::Tensor y = conv1_->forward(x);
  if (pre()) return y;
  if (bias1_.defined()) y = y + bias1_;
  return bn1_ ? batch_norm_act(*bn1_, y, Act::relu) : y.relu();
}

at::Tensor StagedResNet::run_head(const at::Tensor& x) {
  at::Tensor y = x;
  if (pre()) {
    if (bias1_.defined()) y = y + bias1_;
    y = last_bn_ ? batch_norm_act(*last_bn_, y, Act::relu) : y.relu();
  }
  y = avgpool_->forward(y);
  return classifier_->forward(bias2_.defined() ? y + bias2_ : y);
}

void StagedResNet::replace_classifier(int64_t num_classes, const Random& random) {
  classifier_ =
      replace_module(info_.classifier, fresh_classifier(*classifier_, num_classes, random));
  if (ends().zero_classifier) zero_weights(*classifier_);
  info_.num_classes = num_classes;
}

at::Tensor StagedResNet::run_stages(const at::Tensor& x, std::vector<at::Tensor>* levels) {
  // A pre-activation block's projection starts from what its branch has computed of the same x.
  struct Entered {
    at::Tensor x, y;
  };
  const auto seen = std::make_shared<Entered>();
  StreamParts parts{.schedule = schedule()};
  parts.branch = [this, seen](const Site& site, const at::Tensor& input, State&) {
    // Nothing of a site is held beyond it.
    *seen = {};
    if (!site.has_shortcut()) return block_of(site).branch(input);
    seen->x = input;
    return block_of(site).branch(input, &seen->y);
  };
  parts.shortcut = [this, seen](const Site& site, const at::Tensor& stream) {
    return block_of(site).shortcut(stream, stream.is_same(seen->x) ? seen->y : at::Tensor());
  };
  if (carrier().post_activation) {
    parts.after = [](const at::Tensor& stream) { return stream.relu(); };
    if (std::ranges::all_of(blocks_, [](const auto& block) { return !block || block->can_fuse(); }))
      parts.fused = [this](const Site& site, const at::Tensor& stream, PlainMerge merge) {
        return block_of(site).fused(stream, merge == PlainMerge::sum);
      };
  }
  if (levels)
    parts.visit = [&](const Site& site, const State& state) {
      const bool last = static_cast<size_t>(site.step) + 1 == schedule().size();
      if (last || schedule()[static_cast<size_t>(site.step) + 1].stage != site.stage)
        levels->push_back(connection_->finish(state));
    };
  return run(x, parts);
}

}  // namespace residua
