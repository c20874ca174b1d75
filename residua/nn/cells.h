#pragma once
// Recurrent cells: one step in time. Parameter names and the order of gates are those of
// torch.nn.RNNCell, GRUCell and LSTMCell.

#include <torch/nn/module.h>

#include <memory>
#include <utility>

#include "residua/core/random.h"

namespace residua {

// weight_ih [gates * hidden, in], weight_hh [gates * hidden, hidden], bias_ih and bias_hh
// [gates * hidden], all uniform in +-1 / sqrt(hidden).
class RecurrentCell : public torch::nn::Module {
 public:
  int64_t hidden() const { return weight_hh.size(1); }

  at::Tensor weight_ih, weight_hh, bias_ih, bias_hh;

 protected:
  RecurrentCell(const char* name, int64_t gates, int64_t in, int64_t hidden, const Random& random);
  at::Tensor from_input(const at::Tensor& x) const;
  at::Tensor from_hidden(const at::Tensor& h) const;
};

// h' = tanh(W x + U h)
class RnnCell final : public RecurrentCell {
 public:
  RnnCell(int64_t in, int64_t hidden, const Random& random);
  at::Tensor forward(const at::Tensor& x, const at::Tensor& h) const;  // [N, in], [N, hidden]
};

// r, z = sigmoid; n = tanh(W x + r (U h)); h' = (1 - z) n + z h (Cho et al. 2014)
class GruCell final : public RecurrentCell {
 public:
  GruCell(int64_t in, int64_t hidden, const Random& random);
  at::Tensor forward(const at::Tensor& x, const at::Tensor& h) const;
};

// i, f, g, o; c' = f c + i g; h' = o tanh(c') (Hochreiter and Schmidhuber 1997, with forget gate)
class LstmCell final : public RecurrentCell {
 public:
  LstmCell(int64_t in, int64_t hidden, const Random& random);
  // h' and c'
  std::pair<at::Tensor, at::Tensor> forward(const at::Tensor& x, const at::Tensor& h,
                                            const at::Tensor& c) const;
};

}  // namespace residua
