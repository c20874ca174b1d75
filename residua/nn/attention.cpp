#include "residua/nn/attention.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>

#include "residua/core/error.h"
#include "residua/nn/observe.h"

namespace residua {

namespace {

// [N, kv_heads, S, d] -> [N * heads, S, d].
at::Tensor spread_heads(const at::Tensor& x, int64_t heads) {
  if (x.size(1) == heads) return x.reshape({-1, x.size(2), x.size(3)});
  const int64_t copies = heads / x.size(1);
  return x.unsqueeze(2)
      .expand({x.size(0), x.size(1), copies, x.size(2), x.size(3)})
      .reshape({-1, x.size(2), x.size(3)});
}

// [N, ...] again and again, up to `rows`.
at::Tensor shared_rows(const at::Tensor& x, int64_t rows) {
  return x.size(0) == rows ? x : x.repeat({rows / x.size(0), 1, 1, 1});
}

// 0 where query i (of the last T positions) may look at position j, else minus infinity. [T, S]
at::Tensor causal_mask(int64_t queries, int64_t positions, const at::TensorOptions& options) {
  return at::full({queries, positions}, -std::numeric_limits<double>::infinity(), options)
      .triu(positions - queries + 1);
}

// [N * heads, T, S]
at::Tensor flat_weights(const at::Tensor& q, const at::Tensor& k, bool causal) {
  const int64_t heads = q.size(1), queries = q.size(2);
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
  const at::Tensor rows = q.reshape({-1, queries, q.size(3)});
  const at::Tensor columns = spread_heads(k, heads).transpose(1, 2);
  if (!causal || queries == 1) return at::softmax(at::bmm(rows * scale, columns), -1);
  const at::Tensor mask = causal_mask(queries, k.size(2), q.options().requires_grad(false));
  return at::softmax(at::baddbmm(mask, rows, columns, 1, scale), -1);
}

}  // namespace

at::Tensor attention_weights(const at::Tensor& q, const at::Tensor& k, bool causal) {
  return flat_weights(q, k, causal).view({q.size(0), q.size(1), q.size(2), k.size(2)});
}

at::Tensor AttentionCore::forward(const at::Tensor& q, const at::Tensor& k0, const at::Tensor& v0,
                                  bool causal) const {
  const at::Tensor k = shared_rows(k0, q.size(0)), v = shared_rows(v0, q.size(0));
  at::Tensor weights = flat_weights(q, k, causal);
  if (dropout_ > 0) weights = at::dropout(weights, dropout_, is_training());
  at::Tensor u =
      at::bmm(weights, spread_heads(v, q.size(1))).view({q.size(0), q.size(1), q.size(2), -1});
  observe(*this, q, u);
  return u;
}

int64_t AttentionCore::macs(const at::Tensor& input, const at::Tensor& output) const {
  return (input.numel() + output.numel()) * input.size(2);
}

Attention::Attention(const AttentionOptions& options, const Random& random)
    : torch::nn::Module("Attention"), options_(options) {
  AttentionOptions& o = options_;
  if (o.kv_heads == 0) o.kv_heads = o.heads;
  if (o.dim % o.heads != 0 || o.heads % o.kv_heads != 0)
    throw Error(
        ErrorKind::invalid_argument,
        {.where = "attention",
         .rule = "cannot be cut into these heads",
         .expected = "dim divisible by heads, and heads by kv_heads",
         .received = fmt::format("dim {}, heads {}, kv_heads {}", o.dim, o.heads, o.kv_heads)});
  const int64_t groups = o.heads + (o.key ? o.kv_heads : 0) + (o.value ? o.kv_heads : 0);
  in = register_module(
      o.in_name, linear(o.dim, groups * (o.dim / o.heads), {.bias = o.bias, .stddev = o.stddev},
                        random.split(o.in_name)));
  core_ = register_module("core", std::make_shared<AttentionCore>(o.weight_dropout));
  out = register_module(
      o.out_name,
      linear(o.dim, o.dim, {.bias = o.bias, .stddev = o.output_stddev}, random.split(o.out_name)));
}

Attention::Projected Attention::project(const at::Tensor& x) const {
  const AttentionOptions& o = options_;
  const at::Tensor all =
      in->forward(x).view({x.size(0), x.size(1), -1, o.dim / o.heads}).transpose(1, 2);
  Projected p{.q = all.narrow(1, 0, o.heads), .k = {}, .v = {}};
  if (o.key) p.k = all.narrow(1, o.heads, o.kv_heads);
  if (o.value) p.v = all.narrow(1, all.size(1) - o.kv_heads, o.kv_heads);
  return p;
}

at::Tensor Attention::output(const at::Tensor& u) const {
  const at::Tensor y =
      out->forward(u.transpose(1, 2).reshape({u.size(0), u.size(2), options_.dim}));
  return options_.output_dropout > 0 ? at::dropout(y, options_.output_dropout, is_training()) : y;
}

}  // namespace residua
