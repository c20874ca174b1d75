#include "residua/nn/feed_forward.h"

#include <torch/torch.h>

namespace residua {

FeedForward::FeedForward(const FeedForwardOptions& options, const Random& random)
    : torch::nn::Module("FeedForward"), options_(options) {
  const FeedForwardOptions& o = options_;
  const LinearOptions in{.bias = o.bias, .stddev = o.stddev};
  if (o.gated)
    gate = register_module(o.gate_name, linear(o.dim, o.hidden, in, random.split(o.gate_name)));
  first = register_module(o.first_name, linear(o.dim, o.hidden, in, random.split(o.first_name)));
  second = register_module(o.second_name,
                           linear(o.hidden, o.dim, {.bias = o.bias, .stddev = o.output_stddev},
                                  random.split(o.second_name)));
}

at::Tensor FeedForward::forward(const at::Tensor& x) const {
  const FeedForwardOptions& o = options_;
  at::Tensor h = gate ? gate->forward(x) : first->forward(x);
  h = activate(act_shift.defined() ? h + act_shift : h, o.act);
  if (gate) h = h * first->forward(x);
  if (second_shift.defined()) h = h + second_shift;
  if (o.hidden_dropout > 0) h = at::dropout(h, o.hidden_dropout, is_training());
  const at::Tensor y = second->forward(h);
  return o.output_dropout > 0 ? at::dropout(y, o.output_dropout, is_training()) : y;
}

}  // namespace residua
