#include "residua/models/vision/odenet.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>

#include "residua/models/classifier.h"

namespace residua {

namespace {

// Groups of two channels, as the reference's 32 of 64: with one channel each the mean over the
// image, which the classifier reads, would say nothing about the image.
std::shared_ptr<GroupNorm> field_norm(int64_t width) {
  return std::make_shared<GroupNorm>(width % 2 == 0 ? std::min<int64_t>(32, width / 2) : 1, width);
}

// Images and a constant channel of the time before them.
at::Tensor with_time(double t, const at::Tensor& x) {
  std::vector<int64_t> size = x.sizes().vec();
  size[1] = 1;
  return at::cat({at::full(size, t, x.options().requires_grad(false)), x}, 1);
}

}  // namespace

void OdeNetOptions::fields(Fields& f) {
  f.add("features", features, "ode: a block solved over [0, 1]; residual: a stack of blocks");
  f.add("blocks", blocks, "residual blocks", {.min = 1});
  f.add("width", width, "channels", {.min = 1});
  f.add("method", method, "of the solver; euler to adams_moulton take fixed steps");
  f.add("tolerance", tolerance, "relative and absolute, of adaptive methods",
        {.min = 0, .open_min = true});
  f.add("steps", steps, "of fixed-step methods", {.min = 1});
  f.add("adjoint", adjoint, "gradients by the adjoint equation, else through the solver's steps");
  f.add("seminorm", seminorm, "the parameters' gradient does not shorten the adjoint's steps");
  f.add("num_classes", num_classes, "size of the output", {.min = 1});
  f.add("in_channels", in_channels, "channels of the images", {.min = 1});
}

OdeConvField::OdeConvField(int64_t width, const Random& random) : torch::nn::Module("OdeFunc") {
  const auto concat_conv = [&](const char* name) {
    const auto layer = register_module(name, std::make_shared<Module>("ConcatConv2d"));
    return layer->register_module(
        "_layer", conv2d(width + 1, width, 3, {.padding = 1, .bias = true}, random.split(name)));
  };
  norm1_ = register_module("norm1", field_norm(width));
  conv1_ = concat_conv("conv1");
  norm2_ = register_module("norm2", field_norm(width));
  conv2_ = concat_conv("conv2");
  norm3_ = register_module("norm3", field_norm(width));
}

at::Tensor OdeConvField::forward(double t, const at::Tensor& x) const {
  const at::Tensor a = conv1_->forward(with_time(t, norm1_->forward(x).relu()));
  return norm3_->forward(conv2_->forward(with_time(t, norm2_->forward(a).relu())));
}

GroupNormBlock::GroupNormBlock(int64_t width, const Random& random)
    : torch::nn::Module("ResBlock") {
  norm1_ = register_module("norm1", field_norm(width));
  norm2_ = register_module("norm2", field_norm(width));
  conv1_ = register_module("conv1", conv2d(width, width, 3, {.padding = 1}, random.split("conv1")));
  conv2_ = register_module("conv2", conv2d(width, width, 3, {.padding = 1}, random.split("conv2")));
}

at::Tensor GroupNormBlock::forward(const at::Tensor& x) const {
  const at::Tensor a = conv1_->forward(norm1_->forward(x).relu());
  return x + conv2_->forward(norm2_->forward(a).relu());
}

OdeNet::OdeNet(const OdeNetOptions& options, const Random& random) : options_(options) {
  const OdeNetOptions& o = options_;
  const auto conv = [&](int64_t index, int64_t in, int64_t kernel, Conv2dOptions c) {
    c.bias = true;
    const std::string name = std::to_string(index);
    convs_.push_back(register_module(name, conv2d(in, o.width, kernel, c, random.split(name))));
  };
  const auto norm = [&](int64_t index) {
    return register_module(std::to_string(index), field_norm(o.width));
  };
  conv(0, o.in_channels, 3, {});
  norms_.push_back(norm(1));
  conv(3, o.width, 4, {.stride = 2, .padding = 1});
  norms_.push_back(norm(4));
  conv(6, o.width, 4, {.stride = 2, .padding = 1});
  int64_t next = 7;
  if (o.features == OdeNetFeatures::ode) {
    const auto block =
        register_module(std::to_string(next++), std::make_shared<Module>("OdeBlock"));
    field_ = block->register_module(
        "odefunc", std::make_shared<OdeConvField>(o.width, random.split("odefunc")));
  } else {
    for (int64_t i = 0; i < o.blocks; ++i) {
      const std::string name = std::to_string(next++);
      blocks_.push_back(
          register_module(name, std::make_shared<GroupNormBlock>(o.width, random.split(name))));
    }
  }
  const int64_t last = next - 1;
  last_norm_ = norm(next);
  const std::string classifier = std::to_string(next + 4);
  linear_ = register_module(classifier, linear(o.width, o.num_classes, {}, random.split("linear")));
  info_ = {.num_classes = o.num_classes,
           .in_channels = o.in_channels,
           .input_height = 28,
           .input_width = 28,
           .min_input = 6,
           .classifier = classifier,
           .levels = {{"6", o.width, 0}, {std::to_string(last), o.width, 0}}};
}

at::Tensor OdeNet::downsample(const at::Tensor& x) {
  check_input(x);
  at::Tensor y = x;
  for (size_t i = 0; i < convs_.size(); ++i) {
    y = convs_[i]->forward(y);
    if (i < norms_.size()) y = norms_[i]->forward(y).relu();
  }
  return y;
}

at::Tensor OdeNet::solve(const at::Tensor& x) {
  const OdeOptions solver{.method = options_.method,
                          .rtol = options_.tolerance,
                          .atol = options_.tolerance,
                          .step = 1.0 / static_cast<double>(options_.steps)};
  const OdeField field = [f = field_](double t, const at::Tensor& z) { return f->forward(t, z); };
  if (options_.adjoint && torch::GradMode::is_enabled())
    return odeint_adjoint(field, x, torch::tensor({0.0, 1.0}, at::kDouble), field_->parameters(),
                          {.forward = solver,
                           .backward = solver,
                           .seminorm = options_.seminorm,
                           .stats = stats_})
        .back();
  stats_->forward = {};
  return odeint(field, x, {0, 1}, solver, &stats_->forward).back();
}

at::Tensor OdeNet::classify(const at::Tensor& x) {
  return linear_->forward(last_norm_->forward(x).relu().mean({2, 3}));
}

at::Tensor OdeNet::forward(at::Tensor x) {
  at::Tensor y = downsample(x);
  if (field_) return classify(solve(y));
  for (const auto& block : blocks_) y = block->forward(y);
  return classify(y);
}

std::vector<at::Tensor> OdeNet::features(at::Tensor x) {
  const at::Tensor first = downsample(x);
  at::Tensor y = first;
  if (field_) y = solve(y);
  for (const auto& block : blocks_) y = block->forward(y);
  return {first.mean({2, 3}), y.mean({2, 3})};
}

void OdeNet::reset_classifier(int64_t num_classes, Random random) {
  linear_ = replace_module(info_.classifier, fresh_classifier(*linear_, num_classes, random));
  info_.num_classes = options_.num_classes = num_classes;
}

Extras OdeNet::extras(const at::Tensor&) {
  if (!field_) return {};
  Extras extras;
  extras.values = {{"evaluations", static_cast<double>(stats_->forward.evaluations)}};
  // Backward comes after this call: these are of the batch before.
  if (options_.adjoint)
    extras.values.emplace_back("evaluations_backward",
                               static_cast<double>(stats_->backward.evaluations));
  return extras;
}

void add_odenets(Registry<Model, Random>& models) {
  const auto make = [](const OdeNetOptions& o, const Random& random) {
    return std::make_shared<OdeNet>(o, random);
  };
  models.add<OdeNetOptions>(
      {"odenet", "a block solved as a differential equation, for small images", "neural-ode"}, {},
      make);
  models.add<OdeNetOptions>(
      {"odenet_resnet", "the residual counterpart of odenet: six blocks", "neural-ode"},
      {.features = OdeNetFeatures::residual}, make);
}

}  // namespace residua
