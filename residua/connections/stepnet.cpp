#include "residua/connections/stepnet.h"

#include <torch/torch.h>

#include <functional>

#include "residua/connections/feature.h"
#include "residua/nn/channel_attention.h"
#include "residua/nn/channel_attention_more.h"
#include "residua/nn/layer_norm.h"
#include "residua/nn/linear.h"

namespace residua {

void ChannelAttentionOptions::fields(Fields& f) {
  f.add("kind", kind,
        "se: squeeze and excite, eca: a few neighbouring channels, cbam: channels and "
        "positions, srm: mean and deviation of each channel");
  f.add("reduction", reduction, "se and cbam: channels over inner units", {.min = 1});
  f.add("kernel", kernel, "eca: channels that one weight depends on, odd", {.min = 1});
}

void StepNetOptions::fields(Fields& f) {
  f.add("reduction", reduction, "channels over inner units", {.min = 1});
  f.add("difference", difference, "let the mean of increment minus state choose the step too");
  f.add("refine", refine, "let the second difference of a provisional step choose it too");
}

void StepSizeConnection::merge(State& state, const Site& site, const at::Tensor& y, const Read&) {
  const at::Tensor step = stepped(state, site, y);
  state.x() = state.x() + (bypassed_.contains(site.branch) ? y : step);
}

namespace {

constexpr int64_t kLeastInner = 8;

int64_t attention_units(int64_t channels, int64_t reduction) {
  return round_channels(static_cast<double>(channels) / static_cast<double>(reduction),
                        kLeastInner);
}

// Vectors and tokens as images [N, C, H, W] of one column.
at::Tensor as_maps(const at::Tensor& x, CarrierKind kind) {
  if (kind == CarrierKind::vit) return x.transpose(1, 2).unsqueeze(-1);
  return kind == CarrierKind::mlp ? x.unsqueeze(-1).unsqueeze(-1) : x;
}
at::Tensor from_maps(const at::Tensor& maps, CarrierKind kind) {
  if (kind == CarrierKind::vit) return maps.squeeze(-1).transpose(1, 2);
  return kind == CarrierKind::mlp ? maps.squeeze(-1).squeeze(-1) : maps;
}

class ChannelAttentionConnection final : public StepSizeConnection {
 public:
  ChannelAttentionConnection(const ChannelAttentionOptions& o, const Carrier& carrier,
                             const Random& random)
      : kind_(carrier.kind) {
    if (kind_ == CarrierKind::gpt)
      refuse("attention", carrier, "the mean over tokens would let each token see later ones");
    if (o.kind == ChannelAttentionKind::cbam && kind_ != CarrierKind::cnn)
      refuse("attention", carrier, "cbam weighs the positions of a map");
    if (o.kind == ChannelAttentionKind::srm && kind_ == CarrierKind::mlp)
      refuse("attention", carrier, "one value for each channel has no deviation, which srm needs");
    for (size_t i = 0; i < carrier.sites.size(); ++i)
      scales_.push_back(make_scale(o, carrier.sites[i].c_out, std::to_string(i),
                                   random.split(static_cast<uint64_t>(i))));
  }

  at::Tensor stepped(State&, const Site& site, const at::Tensor& y) override {
    const at::Tensor scale = scales_[static_cast<size_t>(site.branch)](as_maps(y, kind_));
    return y * from_maps(scale, kind_);
  }

  StreamDiagram describe() const override { return {.merge = "x + s f(x), s by f(x)"}; }

 private:
  using Scale = std::function<at::Tensor(const at::Tensor&)>;

  template <class Layer>
  Scale add_layer(const std::string& site, const char* name, std::shared_ptr<Layer> layer) {
    const auto owner = register_module(site, std::make_shared<torch::nn::Module>("Attention"));
    owner->register_module(name, layer);
    return [layer](const at::Tensor& x) { return layer->scale(x); };
  }

  Scale make_scale(const ChannelAttentionOptions& o, int64_t channels, const std::string& site,
                   const Random& random) {
    switch (o.kind) {
      case ChannelAttentionKind::se:
        return add_layer(site, "squeeze_excite",
                         std::make_shared<SqueezeExcite>(
                             channels,
                             SqueezeExciteOptions{.ratio = 1 / static_cast<double>(o.reduction),
                                                  .divisor = kLeastInner},
                             random));
      case ChannelAttentionKind::eca:
        return add_layer(site, "eca",
                         std::make_shared<EfficientChannelAttention>(o.kernel, random));
      case ChannelAttentionKind::cbam:
        return add_layer(site, "cbam",
                         std::make_shared<BlockAttention>(
                             channels, attention_units(channels, o.reduction), random));
      case ChannelAttentionKind::srm: break;
    }
    return add_layer(site, "srm", std::make_shared<StyleRecalibration>(channels));
  }

  CarrierKind kind_;
  std::vector<Scale> scales_;
};

// Chooses the step of one site.
class StepSize final : public torch::nn::Module {
 public:
  StepSize(const StepNetOptions& o, int64_t channels, const Random& random)
      : torch::nn::Module("StepSize") {
    const int64_t parts = 2 + static_cast<int64_t>(o.difference) + static_cast<int64_t>(o.refine);
    const int64_t inner = attention_units(channels, o.reduction);
    norm_ = register_module("norm", std::make_shared<LayerNorm>(parts * channels));
    fc1_ = register_module("fc1", linear(parts * channels, inner, {}, random.split("fc1")));
    fc2_ = register_module("fc2", linear(inner, channels, {}, random.split("fc2")));
  }
  at::Tensor operator()(const std::vector<at::Tensor>& u) const {
    return fc2_->forward(fc1_->forward(norm_->forward(at::cat(u, -1))).relu()).sigmoid();
  }

 private:
  std::shared_ptr<LayerNorm> norm_;
  std::shared_ptr<Linear> fc1_, fc2_;
};

constexpr const char* kStepPrevious = "stepnet.previous";

class StepNet final : public StepSizeConnection {
 public:
  StepNet(const StepNetOptions& o, const Carrier& carrier, const Random& random)
      : options_(o), kind_(carrier.kind) {
    for (size_t i = 0; i < carrier.sites.size(); ++i)
      steps_.push_back(register_module(
          std::to_string(i), std::make_shared<StepSize>(o, carrier.sites[i].c_out,
                                                        random.split(static_cast<uint64_t>(i)))));
  }

  void resize(State& state, const Site& site, const Shortcut& shortcut) override {
    Connection::resize(state, site, shortcut);
    if (site.changes_shape()) state.memo.erase(kStepPrevious);
  }

  at::Tensor stepped(State& state, const Site& site, const at::Tensor& y) override {
    const at::Tensor x = state.x();
    std::vector<at::Tensor> u{channel_means(x, kind_), channel_means(y, kind_)};
    if (options_.difference) u.push_back(u[1] - u[0]);
    if (options_.refine) {
      const auto found = state.memo.find(kStepPrevious);
      const at::Tensor previous = found == state.memo.end() ? x : found->second;
      u.push_back(channel_means((y - x + previous).abs(), kind_));  // (x + y) - 2 x + x_{t-1}
      state.memo[kStepPrevious] = x;
    }
    const at::Tensor s = (*steps_[static_cast<size_t>(site.branch)])(u);
    return over_positions(s, kind_) * y;
  }

  StreamDiagram describe() const override { return {.merge = "x + s f(x), s by x and f(x)"}; }

 private:
  StepNetOptions options_;
  CarrierKind kind_;
  std::vector<std::shared_ptr<StepSize>> steps_;
};

}  // namespace

void add_stepnet_connections(Registry<Connection, Carrier, Random>& connections) {
  connections.add<ChannelAttentionOptions>(
      {"attention", "channel attention weighs the branch: x + a(f(x)) f(x)", "stepnet"}, {},
      [](const ChannelAttentionOptions& o, const Carrier& carrier, const Random& random) {
        return std::make_shared<ChannelAttentionConnection>(o, carrier, random);
      });
  connections.add<StepNetOptions>(
      {"stepnet", "a step size chosen from state and increment: x + s(x, f(x)) f(x)", "stepnet"},
      {}, [](const StepNetOptions& o, const Carrier& carrier, const Random& random) {
        return std::make_shared<StepNet>(o, carrier, random);
      });
}

}  // namespace residua
