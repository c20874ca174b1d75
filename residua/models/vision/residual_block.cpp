#include "residua/models/vision/residual_block.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"

namespace residua {

at::Tensor ResidualBlock::branch(const at::Tensor& x, at::Tensor* activated) {
  if (options_.order == BlockOrder::post)
    return batch_norm_act(*last_norm_, convolutions(x), Act::none);
  const at::Tensor a = activate(x);
  if (activated) *activated = a;
  return convolutions(a);
}

at::Tensor ResidualBlock::shortcut(const at::Tensor& x, const at::Tensor& activated) {
  if (projection_) {
    if (options_.order == BlockOrder::pre)
      return projection_->forward(activated.defined() ? activated : activate(x));
    return batch_norm_act(*projection_norm_, projection_->forward(x), Act::none);
  }
  if (options_.stride == 1 && options_.in == out_) return x;
  return shortcut_a(x, out_, options_.stride);
}

at::Tensor ResidualBlock::fused(const at::Tensor& x, bool with_shortcut) {
  const at::Tensor before = convolutions(x);
  return batch_norm_act(*last_norm_, before, Act::relu, with_shortcut ? shortcut(x) : at::Tensor());
}

void ResidualBlock::add_shortcut(int64_t out, std::shared_ptr<BatchNorm2d> last_norm,
                                 const Random& random) {
  const ResidualBlockOptions& o = options_;
  out_ = out;
  last_norm_ = std::move(last_norm);
  if (o.zero_init_residual && o.order == BlockOrder::pre)
    throw Error(ErrorKind::invalid_argument,
                {.where = "zero_init_residual",
                 .rule = "needs a normalisation at the end of the branch",
                 .expected = "order=post",
                 .hint = "connection={name=\"scaled\", scale=0, learned=true} begins at zero too"});
  if (o.zero_init_residual) last_norm_->weight.detach().zero_();
  const bool same_shape = o.stride == 1 && o.in == out;
  const bool project = o.shortcut == Shortcut::c || (o.shortcut == Shortcut::b && !same_shape);
  if (!o.has_shortcut || !project) return;
  const auto pair =
      register_module(o.shortcut_name, std::make_shared<torch::nn::Module>("Projection"));
  projection_ = pair->register_module(
      "0",
      conv2d(o.in, out, 1, {.stride = o.stride, .init = o.init}, random.split(o.shortcut_name)));
  if (o.order == BlockOrder::pre) return;  // what it starts from is normalised
  projection_norm_ = pair->register_module("1", std::make_shared<BatchNorm2d>(out));
}

BasicBlock::BasicBlock(const ResidualBlockOptions& o, const Random& random)
    : ResidualBlock("BasicBlock", o) {
  if (o.groups != 1 || o.width_per_group != 64)
    throw Error(ErrorKind::invalid_argument, {.where = "basic block",
                                              .rule = "has no groups",
                                              .expected = "groups = 1 and width_per_group = 64",
                                              .hint = "set block = bottleneck"});
  const bool pre = o.order == BlockOrder::pre;
  if (pre) bn1_ = register_module("bn1", std::make_shared<BatchNorm2d>(o.in));
  conv1_ = register_module(
      "conv1", conv2d(o.in, o.planes, 3, {.stride = o.stride, .padding = 1, .init = o.init},
                      random.split("conv1")));
  if (!pre) bn1_ = register_module("bn1", std::make_shared<BatchNorm2d>(o.planes));
  if (pre) bn2_ = register_module("bn2", std::make_shared<BatchNorm2d>(o.planes));
  conv2_ = register_module("conv2", conv2d(o.planes, o.planes, 3, {.padding = 1, .init = o.init},
                                           random.split("conv2")));
  if (!pre) bn2_ = register_module("bn2", std::make_shared<BatchNorm2d>(o.planes));
  add_shortcut(o.planes, bn2_, random);
}

at::Tensor BasicBlock::activate(const at::Tensor& x) { return batch_norm_act(*bn1_, x, Act::relu); }

at::Tensor BasicBlock::convolutions(const at::Tensor& x) {
  BatchNorm2d& between = options().order == BlockOrder::pre ? *bn2_ : *bn1_;
  return conv2_->forward(batch_norm_act(between, conv1_->forward(x), Act::relu));
}

Bottleneck::Bottleneck(const ResidualBlockOptions& o, const Random& random)
    : ResidualBlock("Bottleneck", o) {
  const int64_t inner = o.planes * o.width_per_group / 64 * o.groups, out = o.planes * kExpansion;
  const int64_t stride1 = o.stride_in_1x1 ? o.stride : 1, stride2 = o.stride_in_1x1 ? 1 : o.stride;
  const bool pre = o.order == BlockOrder::pre;
  const auto norm = [this](const char* name, int64_t channels) {
    return register_module(name, std::make_shared<BatchNorm2d>(channels));
  };
  if (pre) bn1_ = norm("bn1", o.in);
  conv1_ = register_module(
      "conv1", conv2d(o.in, inner, 1, {.stride = stride1, .init = o.init}, random.split("conv1")));
  if (!pre) bn1_ = norm("bn1", inner);
  if (pre) bn2_ = norm("bn2", inner);
  conv2_ = register_module(
      "conv2",
      conv2d(inner, inner, 3, {.stride = stride2, .padding = 1, .groups = o.groups, .init = o.init},
             random.split("conv2")));
  if (!pre) bn2_ = norm("bn2", inner);
  if (pre) bn3_ = norm("bn3", inner);
  conv3_ = register_module("conv3", conv2d(inner, out, 1, {.init = o.init}, random.split("conv3")));
  if (!pre) bn3_ = norm("bn3", out);
  add_shortcut(out, bn3_, random);
}

at::Tensor Bottleneck::activate(const at::Tensor& x) { return batch_norm_act(*bn1_, x, Act::relu); }

at::Tensor Bottleneck::convolutions(const at::Tensor& x) {
  const bool pre = options().order == BlockOrder::pre;
  BatchNorm2d &first = pre ? *bn2_ : *bn1_, &second = pre ? *bn3_ : *bn2_;
  const at::Tensor narrow = batch_norm_act(first, conv1_->forward(x), Act::relu);
  return conv3_->forward(batch_norm_act(second, conv2_->forward(narrow), Act::relu));
}

at::Tensor shortcut_a(const at::Tensor& x, int64_t out, int64_t stride) {
  const int64_t added = out - x.size(1), before = added / 2;
  if (added < 0)
    throw Error(ErrorKind::invalid_argument, {.where = "shortcut A",
                                              .rule = "cannot remove channels",
                                              .received = fmt::format("{} -> {}", x.size(1), out)});
  const at::Tensor pixels = x.slice(2, 0, c10::nullopt, stride).slice(3, 0, c10::nullopt, stride);
  return added == 0 ? pixels : at::constant_pad_nd(pixels, {0, 0, 0, 0, before, added - before});
}

Stage::Stage(BlockKind kind, int64_t count, const ResidualBlockOptions& first, const Random& random)
    : torch::nn::Module("Stage") {
  ResidualBlockOptions o = first;
  for (int64_t i = 0; i < count; ++i) {
    const std::string name = std::to_string(i);
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
