#include "residua/models/vision/staged_resnet.h"

#include <fmt/format.h>
#include <torch/torch.h>

namespace residua {

namespace {

std::vector<Site> stage_sites(BlockKind kind, const std::vector<int64_t>& counts, int64_t width,
                              int64_t channels) {
  std::vector<Site> sites;
  for (size_t s = 0; s < counts.size(); ++s) {
    const int64_t out = block_channels(kind, width << s);
    for (int64_t i = 0; i < counts[s]; ++i) {
      sites.push_back({.block = static_cast<int64_t>(sites.size()),
                       .kind = SiteKind::conv,
                       .stage = static_cast<int64_t>(s),
                       .c_in = channels,
                       .c_out = out,
                       .stride = s > 0 && i == 0 ? 2 : 1});
      channels = out;
    }
  }
  return sites;
}

}  // namespace

int64_t StagedResNet::add_stages(BlockKind kind, const std::vector<int64_t>& counts, int64_t width,
                                 const ResidualBlockOptions& first, const Component& connection,
                                 const Random& random) {
  connect(connection,
          {.kind = CarrierKind::cnn,
           .sites = stage_sites(kind, counts, width, first.in),
           .post_activation = first.order == BlockOrder::post},
          random);
  ResidualBlockOptions o = first;
  o.has_shortcut = connection_->has_shortcut();
  for (size_t s = 0; s < counts.size(); ++s) {
    const std::string name = fmt::format("layer{}", s + 1);
    o.planes = width << s;
    o.stride = s == 0 ? 1 : 2;
    // Where blocks share their weights, the first ones of the stage have them.
    const auto first_site = static_cast<int64_t>(blocks_.size());
    int64_t own = 0;
    while (own < counts[s] && runs(first_site + own)) ++own;
    const auto stage = std::make_shared<Stage>(kind, own, o, random.split(name));
    for (const auto& block : stage->blocks()) {
      blocks_.push_back(block);
      built(static_cast<int64_t>(blocks_.size()) - 1, *block, random);
    }
    blocks_.resize(static_cast<size_t>(first_site + counts[s]));
    stages_.push_back(register_module(name, stage));
    o.in = block_channels(kind, o.planes);
    info_.levels.push_back({name, o.in, int64_t{1} << s});
  }
  return o.in;
}

at::Tensor StagedResNet::run_stages(const at::Tensor& x, std::vector<at::Tensor>* levels) {
  // A pre-activation block's projection starts from what its branch has computed of the same x.
  struct Activated {
    at::Tensor x, y;
  };
  const auto seen = std::make_shared<Activated>();
  StreamParts parts{.schedule = schedule()};
  parts.branch = [this, seen](const Site& site, const at::Tensor& input, State&) {
    // Nothing of a site is held beyond it.
    *seen = {};
    if (!site.changes_shape()) return block_of(site).branch(input);
    seen->x = input;
    return block_of(site).branch(input, &seen->y);
  };
  parts.shortcut = [this, seen](const Site& site, const at::Tensor& stream) {
    const bool same = stream.is_same(seen->x);
    at::Tensor y = block_of(site).shortcut(stream, same ? seen->y : at::Tensor());
    return y;
  };
  if (carrier().post_activation) {
    parts.after = [](const at::Tensor& stream) { return stream.relu(); };
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
