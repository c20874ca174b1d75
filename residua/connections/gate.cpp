#include "residua/connections/gate.h"

#include <torch/torch.h>

#include <cmath>

#include "residua/connections/feature.h"
#include "residua/nn/batch_norm.h"
#include "residua/nn/conv.h"
#include "residua/nn/init.h"
#include "residua/nn/linear.h"
#include "residua/nn/observe.h"

namespace residua {

namespace {

std::shared_ptr<Conv2d> gate_conv3(int64_t channels, int64_t stride, const Random& random) {
  return conv2d(channels, channels, 3, {.stride = stride, .padding = 1}, random);
}

// The log-odds of logits [..., 2].
at::Tensor log_odds_of(const at::Tensor& logits) {
  return logits.select(-1, 1) - logits.select(-1, 0);
}

class ConvolutionGate final : public SkipGate {
 public:
  ConvolutionGate(GateKind kind, int64_t channels, const Random& random)
      : SkipGate("ConvolutionGate"), pools_(kind == GateKind::ff1) {
    conv1_ = register_module("conv1", gate_conv3(channels, pools_ ? 1 : 2, random.split("conv1")));
    bn1_ = register_module("bn1", std::make_shared<BatchNorm2d>(channels));
    if (pools_) {
      conv2_ = register_module("conv2", gate_conv3(channels, 2, random.split("conv2")));
      bn2_ = register_module("bn2", std::make_shared<BatchNorm2d>(channels));
    }
    linear_ = register_module("linear_layer",
                              conv2d(channels, 2, 1, {.bias = true}, random.split("linear_layer")));
  }

  at::Tensor forward(const at::Tensor& x) override {
    const bool small = x.size(2) < 2 || x.size(3) < 2;  // a window of 2 does not fit
    at::Tensor y = pools_ && !small ? at::max_pool2d(x, 2) : x;
    y = batch_norm_act(*bn1_, conv1_->forward(y), Act::relu);
    if (conv2_) y = batch_norm_act(*bn2_, conv2_->forward(y), Act::relu);
    return log_odds_of(linear_->forward(y.mean({2, 3}, true)).flatten(1));
  }

 private:
  bool pools_;
  std::shared_ptr<Conv2d> conv1_, conv2_, linear_;
  std::shared_ptr<BatchNorm2d> bn1_, bn2_;
};

// The means of the channels through one linear map, which on maps is a 1x1 convolution, as in the
// reference's file. For rnn named "1": the reference's "0" is the pooling.
class MeanGate final : public SkipGate {
 public:
  MeanGate(GateKind kind, CarrierKind carrier, int64_t channels, int64_t features,
           const Random& random)
      : SkipGate("MeanGate"), recurrent_(kind == GateKind::rnn), carrier_(carrier) {
    const char* const name = recurrent_ ? "1" : "linear_layer";
    const int64_t out = recurrent_ ? features : 2;
    if (carrier == CarrierKind::cnn)
      conv_ = register_module(name, conv2d(channels, out, 1, {.bias = true}, random.split(name)));
    else
      linear_ = register_module(name, linear(channels, out, {}, random.split(name)));
  }

  at::Tensor forward(const at::Tensor& x) override {
    const at::Tensor y = conv_ ? conv_->forward(x.mean({2, 3}, true)).flatten(1)
                               : linear_->forward(channel_means(x, carrier_));
    return recurrent_ ? y : log_odds_of(y);
  }

 private:
  bool recurrent_;
  CarrierKind carrier_;
  std::shared_ptr<Conv2d> conv_;
  std::shared_ptr<Linear> linear_;
};

}  // namespace

std::shared_ptr<SkipGate> make_gate(GateKind kind, CarrierKind carrier, int64_t channels,
                                    int64_t features, const Random& random) {
  if (kind == GateKind::ff1 || kind == GateKind::ff2)
    return std::make_shared<ConvolutionGate>(kind, channels, random);
  return std::make_shared<MeanGate>(kind, carrier, channels, features, random);
}

GateControl::GateControl(int64_t features, int64_t hidden, const Random& random)
    : torch::nn::Module("GateControl"), hidden_(hidden) {
  const auto rnn = register_module("rnn", std::make_shared<torch::nn::Module>("LSTM"));
  const double bound = 1 / std::sqrt(static_cast<double>(hidden));
  const auto parameter = [&](const char* name, at::IntArrayRef shape) {
    const at::Tensor values = torch::empty(shape);
    fill_uniform(values, bound, random.split(name));
    return rnn->register_parameter(name, values);
  };
  weight_ih_ = parameter("weight_ih_l0", {4 * hidden, features});
  weight_hh_ = parameter("weight_hh_l0", {4 * hidden, hidden});
  bias_ih_ = parameter("bias_ih_l0", {4 * hidden});
  bias_hh_ = parameter("bias_hh_l0", {4 * hidden});
  proj_ = register_module("proj", linear(hidden, 1, {}, random.split("proj")));
}

at::Tensor GateControl::forward(const at::Tensor& features, at::Tensor& hidden, at::Tensor& cell) {
  const at::Tensor rows = features.flatten(0, -2);
  if (!hidden.defined()) hidden = cell = at::zeros({rows.size(0), hidden_}, rows.options());
  std::tie(hidden, cell) =
      at::lstm_cell(rows, {hidden, cell}, weight_ih_, weight_hh_, bias_ih_, bias_hh_);
  at::IntArrayRef leading = features.sizes().slice(0, static_cast<size_t>(features.dim()) - 1);
  return proj_->forward(hidden).reshape(leading);
}

}  // namespace residua
