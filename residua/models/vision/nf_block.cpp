#include "residua/models/vision/nf_block.h"

#include <torch/torch.h>

#include "residua/nn/drop_path.h"

namespace residua {

namespace {

// The gate begins near sigmoid(0) = 1/2.
constexpr double kAttentionGain = 2;

}  // namespace

std::shared_ptr<ScaledStdConv2d> NfLayers::conv(int64_t in, int64_t out, int64_t kernel,
                                                int64_t stride, int64_t groups,
                                                const Random& random, double gain) const {
  const ScaledStdOptions options{.stride = stride,
                                 .padding = (stride - 1 + kernel - 1) / 2,
                                 .groups = groups,
                                 .same_padding = same_padding,
                                 .gamma = gamma_in_act ? 1 : published_variance_gain(act),
                                 .gain = gain,
                                 .eps = eps};
  return std::make_shared<ScaledStdConv2d>(in, out, kernel, options, random);
}

at::Tensor NfLayers::activated(const at::Tensor& x) const {
  const at::Tensor y = activate(x, act);
  return gamma_in_act ? y * published_variance_gain(act) : y;
}

NfBlock::NfBlock(const NfBlockOptions& o, const Random& random)
    : torch::nn::Module("NfBlock"), options_(o) {
  const auto add = [&](const char* name, int64_t in, int64_t out, int64_t kernel, int64_t stride,
                       int64_t groups, double gain = 1) {
    return register_module(
        name, o.layers.conv(in, out, kernel, stride, groups, random.split(name), gain));
  };
  if (o.in != o.out || o.stride != 1) {
    const auto parts =
        register_module("downsample", std::make_shared<torch::nn::Module>("Downsample"));
    downsample_ = parts->register_module(
        "conv", o.layers.conv(o.in, o.out, 1, 1, 1, random.split("downsample")));
  }
  conv1_ = add("conv1", o.in, o.inner, 1, 1, 1);
  conv2_ = add("conv2", o.inner, o.inner, 3, o.stride, o.groups);
  if (o.extra_conv) conv2b_ = add("conv2b", o.inner, o.inner, 3, 1, o.groups);
  conv3_ = add("conv3", o.inner, o.out, 1, 1, 1, o.skipinit ? 1 : 0);
  const SqueezeExciteOptions se{.ratio = o.se_ratio};
  if (o.se_ratio > 0 && o.se_inside)
    attn_ =
        register_module("attn", std::make_shared<SqueezeExcite>(o.inner, se, random.split("attn")));
  if (o.se_ratio > 0 && !o.se_inside)
    attn_last_ = register_module("attn_last",
                                 std::make_shared<SqueezeExcite>(o.out, se, random.split("attn")));
  if (o.skipinit) skipinit_gain_ = register_parameter("skipinit_gain", torch::zeros({}));
}

at::Tensor NfBlock::enter(const at::Tensor& x) const {
  return options_.layers.activated(x) * options_.input_scale;
}

at::Tensor NfBlock::branch(const at::Tensor& x, at::Tensor* entered) const {
  const NfLayers& layers = options_.layers;
  const at::Tensor input = enter(x);
  if (entered) *entered = input;
  at::Tensor y = conv2_->forward(layers.activated(conv1_->forward(input)));
  if (conv2b_) y = conv2b_->forward(layers.activated(y));
  if (attn_) y = attn_->forward(y) * kAttentionGain;
  y = conv3_->forward(layers.activated(y));
  if (attn_last_) y = attn_last_->forward(y) * kAttentionGain;
  y = drop_path(y, options_.drop_path, is_training());
  return skipinit_gain_.defined() ? y * skipinit_gain_ : y;
}

at::Tensor NfBlock::shortcut(const at::Tensor& x, const at::Tensor& entered) const {
  at::Tensor from = entered.defined() ? entered : enter(x);
  if (options_.stride > 1)
    from = at::avg_pool2d(from, 2, options_.stride, 0, /*ceil_mode=*/true,
                          /*count_include_pad=*/false);
  return downsample_->forward(from);
}

std::vector<at::Tensor> NfBlock::branch_weights() const {
  std::vector<at::Tensor> weights{conv1_->weight, conv2_->weight};
  if (conv2b_) weights.push_back(conv2b_->weight);
  weights.push_back(conv3_->weight);
  return weights;
}

}  // namespace residua
