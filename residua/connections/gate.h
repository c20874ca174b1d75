#pragma once
// Gates: small networks that look at a stream and say with which probability the next branch is
// worth executing ("SkipNet: Learning Dynamic Routing in Convolutional Networks", Wang, Yu, Dou,
// Darrell, Gonzalez 2017, arXiv:1711.09485). They give log-odds z, so that the
// probability is sigmoid(z) and log p(1) = log sigmoid(z), log p(0) = log sigmoid(-z): a softmax of
// two logits a, b has the log-odds b - a.

#include <torch/nn/module.h>

#include <array>
#include <memory>

#include "residua/connections/site.h"
#include "residua/core/random.h"

namespace residua {

enum class GateKind {
  rnn,     // RNNGate: means of the channels, to 10 numbers, one LSTM for all gates
  ff1,     // FFGate-I, on maps: max pooling, two convolutions, means, two logits
  ff2,     // FFGate-II, on maps: one strided convolution, means, two logits
  linear,  // means of the channels to two logits
};

template <>
struct EnumNames<GateKind> {
  static constexpr std::array names{"rnn", "ff1", "ff2", "linear"};
};

// The part of a gate that belongs to one site.
class SkipGate : public torch::nn::Module {
 public:
  using torch::nn::Module::Module;
  // Log-odds, or for rnn what the LSTM reads, of shape [..., features]: on streams [N, C, H, W],
  // [N, T, C] of a ViT and [N, C] the leading shape is [N]; on a GPT, whose tokens have gates of
  // their own, [N, T].
  virtual at::Tensor forward(const at::Tensor& x) = 0;
};

// `channels` of the stream, `features` that an RNNGate reads.
std::shared_ptr<SkipGate> make_gate(GateKind kind, CarrierKind carrier, int64_t channels,
                                    int64_t features, const Random& random);

// The LSTM (Hochreiter and Schmidhuber 1997) that all RNNGates share, stepped once for each site.
// Parameters: rnn.{weight,bias}_{ih,hh}_l0, proj.{weight,bias}.
class GateControl final : public torch::nn::Module {
 public:
  GateControl(int64_t features, int64_t hidden, const Random& random);
  // Log-odds [...] from features [..., features]; `hidden` and `cell` [rows, hidden] are
  // undefined before the first step.
  at::Tensor forward(const at::Tensor& features, at::Tensor& hidden, at::Tensor& cell);

 private:
  int64_t hidden_;
  at::Tensor weight_ih_, weight_hh_, bias_ih_, bias_hh_;
  std::shared_ptr<class Linear> proj_;
};

}  // namespace residua
