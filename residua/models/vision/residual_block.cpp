#include "residua/models/vision/residual_block.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/nn/weight_standard.h"

namespace residua {

namespace {

// A convolution without change of size but by its stride.
std::shared_ptr<WeightLayer> styled_conv(int64_t in, int64_t out, int64_t kernel, int64_t stride,
                                         int64_t groups, const ResidualBlockOptions& o,
                                         const Random& random) {
  const int64_t padding = kernel / 2;
  if (o.style.weight_standard)
    return std::make_shared<ScaledStdConv2d>(
        in, out, kernel,
        ScaledStdOptions{
            .stride = stride, .padding = padding, .groups = groups, .bias = !o.style.norm},
        random);
  return conv2d(in, out, kernel,
                {.stride = stride, .padding = padding, .groups = groups, .init = o.init}, random);
}

int64_t inner_channels(const ResidualBlockOptions& o) {
  return o.planes * o.width_per_group / 64 * o.groups;
}

void check_block_style(const ResidualBlockOptions& o, bool same_shape) {
  const bool pre = o.order == BlockOrder::pre;
  if (o.zero_init_residual && (pre || !o.style.norm))
    throw Error(ErrorKind::invalid_argument,
                {.where = "zero_init_residual",
                 .rule = "needs a normalisation at the end of the branch",
                 .expected = "order=post with normalisation",
                 .hint = "connection={name=\"scaled\", scale=0, learned=true} begins at zero too"});
  const bool predicts_variance = o.style.weight_standard || o.style.input_scale != 1;
  const bool projects_alone = same_shape ? o.shortcut != Shortcut::c : o.shortcut != Shortcut::a;
  if (o.has_shortcut && predicts_variance && !projects_alone)
    throw Error(ErrorKind::invalid_argument,
                {.where = "shortcut",
                 .rule = "a stream of predicted variance changes its shape by projections, and by "
                         "nothing else",
                 .expected = "shortcut=B"});
}

}  // namespace

ResidualBlock::ResidualBlock(const char* name, const ResidualBlockOptions& options,
                             const std::vector<ConvShape>& shapes, const Random& random)
    : torch::nn::Module(name), options_(options), out_(shapes.back().out) {
  const BranchStyle& style = options_.style;
  check_block_style(options_, options_.stride == 1 && options_.in == out_);
  if (style.weight_standard && !style.norm) gamma_ = variance_gain(Activation::relu);
  add_branch(shapes, random);
  add_scalars(shapes.size());
  add_shortcut(random);
}

void ResidualBlock::add_branch(const std::vector<ConvShape>& shapes, const Random& random) {
  const bool pre = options_.order == BlockOrder::pre;
  norms_.resize(shapes.size());
  for (size_t i = 0; i < shapes.size(); ++i) {
    const ConvShape& s = shapes[i];
    const std::string conv = fmt::format("conv{}", i + 1), norm = fmt::format("bn{}", i + 1);
    const bool has_norm = options_.style.norm && (!pre || i > 0 || options_.style.leading);
    const auto add_norm = [&](int64_t channels) {
      if (has_norm) norms_[i] = register_module(norm, std::make_shared<BatchNorm2d>(channels));
    };
    if (pre) add_norm(s.in);
    convs_.push_back(register_module(conv, styled_conv(s.in, s.out, s.kernel, s.stride, s.groups,
                                                       options_, random.split(conv))));
    if (!pre) add_norm(s.out);
  }
  if (options_.zero_init_residual) norms_.back()->weight.detach().zero_();
}

at::Tensor ResidualBlock::scalar(const std::string& name, double value) {
  return options_.style.scalars ? register_parameter(name, torch::full({1}, value)) : at::Tensor();
}

void ResidualBlock::add_scalars(size_t count) {
  const bool pre = options_.order == BlockOrder::pre;
  for (size_t i = 0; i < count; ++i) {
    const auto name = [i](char letter) { return fmt::format("bias{}{}", i + 1, letter); };
    const bool acts = pre ? i > 0 || options_.style.leading : i + 1 < count;
    conv_biases_.push_back(scalar(name(pre ? 'b' : 'a'), 0));
    act_biases_.push_back(acts ? scalar(name(pre ? 'a' : 'b'), 0) : at::Tensor());
  }
  scale_ = scalar("scale", 1);
  if (!pre) last_bias_ = scalar(fmt::format("bias{}b", count), 0);
}

void ResidualBlock::add_shortcut(const Random& random) {
  const ResidualBlockOptions& o = options_;
  const bool same_shape = o.stride == 1 && o.in == out_;
  const bool project = o.shortcut == Shortcut::c || (o.shortcut == Shortcut::b && !same_shape);
  if (!o.has_shortcut || !project) return;
  // What a standardised projection starts from has been pooled.
  const int64_t stride = o.style.weight_standard ? 1 : o.stride;
  const auto conv = styled_conv(o.in, out_, 1, stride, 1, o, random.split(o.shortcut_name));
  if (o.style.scalars) {
    projection_ = register_module(o.shortcut_name, conv);
    return;
  }
  const auto parts =
      register_module(o.shortcut_name, std::make_shared<torch::nn::Module>("Projection"));
  projection_ = parts->register_module(o.style.weight_standard ? "conv" : "0", conv);
  if (o.order == BlockOrder::pre || !o.style.norm) return;  // what it starts from is normalised
  projection_norm_ = parts->register_module("1", std::make_shared<BatchNorm2d>(out_));
}

at::Tensor ResidualBlock::activate(const std::shared_ptr<BatchNorm2d>& norm, const at::Tensor& bias,
                                   const at::Tensor& x) {
  const at::Tensor shifted = bias.defined() ? x + bias : x;
  const at::Tensor y = norm ? batch_norm_act(*norm, shifted, Act::relu) : shifted.relu();
  return gamma_ == 1 ? y : y * gamma_;
}

at::Tensor ResidualBlock::enter(const at::Tensor& x) {
  const bool activates = options_.order == BlockOrder::pre && options_.style.leading;
  at::Tensor y = activates ? activate(norms_.front(), act_biases_.front(), x) : x;
  if (options_.style.input_scale != 1) y = y * options_.style.input_scale;
  return conv_biases_.front().defined() ? y + conv_biases_.front() : y;
}

at::Tensor ResidualBlock::convolutions(const at::Tensor& entered) {
  const size_t behind = options_.order == BlockOrder::post ? 1 : 0;
  at::Tensor y = convs_.front()->forward(entered);
  for (size_t i = 1; i < convs_.size(); ++i) {
    y = activate(norms_[i - behind], act_biases_[i - behind], y);
    y = convs_[i]->forward(conv_biases_[i].defined() ? y + conv_biases_[i] : y);
  }
  return y;
}

at::Tensor ResidualBlock::branch(const at::Tensor& x, at::Tensor* entered) {
  const at::Tensor input = enter(x);
  if (entered) *entered = input;
  at::Tensor y = convolutions(input);
  if (options_.order == BlockOrder::post && norms_.back())
    y = batch_norm_act(*norms_.back(), y, Act::none);
  if (scale_.defined()) y = y * scale_;
  return last_bias_.defined() ? y + last_bias_ : y;
}

at::Tensor ResidualBlock::shortcut(const at::Tensor& x, const at::Tensor& entered) {
  const ResidualBlockOptions& o = options_;
  if (!projection_ && o.stride == 1 && o.in == out_) return x;
  const bool from_entry = o.order == BlockOrder::pre ? projection_ != nullptr : o.style.scalars;
  at::Tensor from = x;
  if (from_entry) from = entered.defined() ? entered : enter(x);
  if (!projection_) return shortcut_a(from, out_, o.stride, /*behind=*/o.style.scalars);
  if (o.style.weight_standard && o.stride > 1)
    from = at::avg_pool2d(from, 2, o.stride, 0, /*ceil_mode=*/true, /*count_include_pad=*/false);
  const at::Tensor y = projection_->forward(from);
  return projection_norm_ ? batch_norm_act(*projection_norm_, y, Act::none) : y;
}

bool ResidualBlock::can_fuse() const {
  return options_.order == BlockOrder::post && norms_.back() && !scale_.defined();
}

at::Tensor ResidualBlock::fused(const at::Tensor& x, bool with_shortcut) {
  const at::Tensor entered = enter(x), before = convolutions(entered);
  return batch_norm_act(*norms_.back(), before, Act::relu,
                        with_shortcut ? shortcut(x, entered) : at::Tensor());
}

std::vector<at::Tensor> ResidualBlock::branch_weights() const {
  std::vector<at::Tensor> weights;
  for (const auto& conv : convs_) weights.push_back(conv->weight);
  return weights;
}

BasicBlock::BasicBlock(const ResidualBlockOptions& o, const Random& random)
    : ResidualBlock("BasicBlock", o,
                    {{.in = o.in, .out = o.planes, .kernel = 3, .stride = o.stride},
                     {.in = o.planes, .out = o.planes, .kernel = 3}},
                    random) {
  if (o.groups != 1 || o.width_per_group != 64)
    throw Error(ErrorKind::invalid_argument, {.where = "basic block",
                                              .rule = "has no groups",
                                              .expected = "groups = 1 and width_per_group = 64",
                                              .hint = "set block = bottleneck"});
}

Bottleneck::Bottleneck(const ResidualBlockOptions& o, const Random& random)
    : ResidualBlock("Bottleneck", o,
                    {{.in = o.in,
                      .out = inner_channels(o),
                      .kernel = 1,
                      .stride = o.stride_in_1x1 ? o.stride : 1},
                     {.in = inner_channels(o),
                      .out = inner_channels(o),
                      .kernel = 3,
                      .stride = o.stride_in_1x1 ? 1 : o.stride,
                      .groups = o.groups},
                     {.in = inner_channels(o), .out = o.planes * kExpansion, .kernel = 1}},
                    random) {}

at::Tensor shortcut_a(const at::Tensor& x, int64_t out, int64_t stride, bool behind) {
  const int64_t added = out - x.size(1), before = behind ? 0 : added / 2;
  if (added < 0)
    throw Error(ErrorKind::invalid_argument, {.where = "shortcut A",
                                              .rule = "cannot remove channels",
                                              .received = fmt::format("{} -> {}", x.size(1), out)});
  const at::Tensor pixels = x.slice(2, 0, c10::nullopt, stride).slice(3, 0, c10::nullopt, stride);
  return added == 0 ? pixels : at::constant_pad_nd(pixels, {0, 0, 0, 0, before, added - before});
}

Stage::Stage(BlockKind kind, int64_t count, const ResidualBlockOptions& first, const Random& random,
             const std::vector<BranchStyle>& styles)
    : torch::nn::Module("Stage") {
  ResidualBlockOptions o = first;
  for (int64_t i = 0; i < count; ++i) {
    const std::string name = std::to_string(i);
    if (!styles.empty()) o.style = styles[static_cast<size_t>(i)];
    std::shared_ptr<ResidualBlock> block;
    if (kind == BlockKind::basic)
      block = std::make_shared<BasicBlock>(o, random.split(name));
    else
      block = std::make_shared<Bottleneck>(o, random.split(name));
    blocks_.push_back(register_module(name, std::move(block)));
    o.in = block_channels(kind, o.planes);
    o.stride = 1;
  }
}

int64_t block_channels(BlockKind kind, int64_t planes) {
  return kind == BlockKind::basic ? planes : planes * Bottleneck::kExpansion;
}

}  // namespace residua
