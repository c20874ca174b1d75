#include "residua/nn/cells.h"

#include <torch/torch.h>

#include <cmath>

#include "residua/nn/init.h"

namespace residua {

RecurrentCell::RecurrentCell(const char* name, int64_t gates, int64_t in, int64_t hidden,
                             const Random& random)
    : torch::nn::Module(name) {
  const double bound = 1 / std::sqrt(static_cast<double>(hidden));
  const auto parameter = [&](const char* key, at::IntArrayRef size) {
    const at::Tensor p = register_parameter(key, torch::empty(size));
    fill_uniform(p.detach(), bound, random.split(key));
    return p;
  };
  weight_ih = parameter("weight_ih", {gates * hidden, in});
  weight_hh = parameter("weight_hh", {gates * hidden, hidden});
  bias_ih = parameter("bias_ih", {gates * hidden});
  bias_hh = parameter("bias_hh", {gates * hidden});
}

at::Tensor RecurrentCell::from_input(const at::Tensor& x) const {
  return at::linear(x, weight_ih, bias_ih);
}

at::Tensor RecurrentCell::from_hidden(const at::Tensor& h) const {
  return at::linear(h, weight_hh, bias_hh);
}

RnnCell::RnnCell(int64_t in, int64_t hidden, const Random& random)
    : RecurrentCell("RnnCell", 1, in, hidden, random) {}

at::Tensor RnnCell::forward(const at::Tensor& x, const at::Tensor& h) const {
  return (from_input(x) + from_hidden(h)).tanh();
}

GruCell::GruCell(int64_t in, int64_t hidden, const Random& random)
    : RecurrentCell("GruCell", 3, in, hidden, random) {}

at::Tensor GruCell::forward(const at::Tensor& x, const at::Tensor& h) const {
  const std::vector<at::Tensor> a = from_input(x).chunk(3, 1), b = from_hidden(h).chunk(3, 1);
  const at::Tensor r = (a[0] + b[0]).sigmoid(), z = (a[1] + b[1]).sigmoid();
  const at::Tensor n = (a[2] + r * b[2]).tanh();
  return n + z * (h - n);
}

LstmCell::LstmCell(int64_t in, int64_t hidden, const Random& random)
    : RecurrentCell("LstmCell", 4, in, hidden, random) {}

std::pair<at::Tensor, at::Tensor> LstmCell::forward(const at::Tensor& x, const at::Tensor& h,
                                                    const at::Tensor& c) const {
  const std::vector<at::Tensor> gates = (from_input(x) + from_hidden(h)).chunk(4, 1);
  const at::Tensor next = gates[1].sigmoid() * c + gates[0].sigmoid() * gates[2].tanh();
  return {gates[3].sigmoid() * next.tanh(), next};
}

}  // namespace residua
