#include "residua/models/transformer_block.h"

#include <torch/torch.h>

#include "residua/core/error.h"

namespace residua {

namespace {

void check_style(const BranchStyle& style) {
  if (!style.weight_standard) return;
  throw Error(ErrorKind::unsupported, {.where = "connection",
                                       .rule = "wants standardised weights in its branches",
                                       .hint = "the branches of a transformer have none"});
}

std::shared_ptr<VectorNorm> leading_norm(const TransformerBlockOptions& o, int64_t size,
                                         const BranchStyle& style) {
  if (!style.norm || !style.leading) return nullptr;
  return vector_norm(o.norm, size, o.norm_eps, o.norm_bias);
}

std::shared_ptr<LayerScale> trailing_scale(const TransformerBlockOptions& o, int64_t size) {
  return o.layer_scale == 0 ? nullptr : std::make_shared<LayerScale>(size, o.layer_scale);
}

at::Tensor entered(const std::shared_ptr<VectorNorm>& norm, double scale, const at::Tensor& bias,
                   const at::Tensor& x) {
  at::Tensor y = norm ? norm->forward(x) : x;
  if (scale != 1) y = y * scale;
  return bias.defined() ? y + bias : y;
}

// The keys or values that a site attends to: those of this pass, behind those of the cache.
at::Tensor remembered(DecodeCache* cache, int64_t place, bool own, const at::Tensor& fresh) {
  if (cache == nullptr) return fresh;
  return own ? cache->append(place, fresh, 2) : cache->at(place);
}

}  // namespace

AttentionBranch::AttentionBranch(const TransformerBlockOptions& o, const BranchStyle& style,
                                 const Random& random)
    : torch::nn::Module("AttentionBranch"), input_scale_(style.input_scale) {
  AttentionOptions options = o.attention;
  options.key = style.key;
  options.value = style.value;
  options.bias = options.bias && !style.scalars;
  norm = leading_norm(o, options.dim, style);
  attention = std::make_shared<Attention>(options, random.split(o.names.attention));
  scale = trailing_scale(o, options.dim);
  if (norm) register_module("norm", norm);
  register_module("attention", attention);
  if (scale) register_module("scale", scale);
  if (!style.scalars) return;
  first_bias_ = register_parameter(o.names.attention + "_bias1", torch::zeros({1}));
  last_bias_ = register_parameter(o.names.attention + "_bias2", torch::zeros({1}));
  multiplier_ = register_parameter(o.names.attention + "_scale", torch::ones({1}));
}

std::vector<at::Tensor> AttentionBranch::branch_weights() const {
  const AttentionOptions& o = attention->options();
  if (!o.value) return {attention->out->weight};
  const int64_t values = (o.kv_heads > 0 ? o.kv_heads : o.heads) * (o.dim / o.heads);
  const at::Tensor& in = attention->in->weight;
  return {in.narrow(0, in.size(0) - values, values), attention->out->weight};
}

at::Tensor AttentionBranch::forward(const at::Tensor& x, const AttentionPass& p) const {
  const auto [q0, k0, v0] = attention->project(entered(norm, input_scale_, first_bias_, x));
  const int64_t offset = p.cache == nullptr ? 0 : p.cache->length;
  const auto turned = [&](const at::Tensor& t) {
    return p.rotary != nullptr && t.defined() ? p.rotary->apply(t, offset) : t;
  };
  const at::Tensor q = turned(q0);
  const at::Tensor k = p.connection.keys(p.state, p.site, turned(k0));
  const at::Tensor v = p.connection.values(p.state, p.site, v0);
  const CachedAt at_step = p.connection.cached_at(p.site);
  const at::Tensor all_k = remembered(p.cache, 2 * at_step.keys, at_step.keys == p.site.step, k);
  const at::Tensor all_v =
      remembered(p.cache, 2 * at_step.values + 1, at_step.values == p.site.step, v);
  const at::Tensor mixed = attention->mix(q, all_k, all_v, p.causal);
  const at::Tensor u = p.connection.attended(p.state, p.site, mixed, v);
  if (p.visit) p.visit(p.site, {q, all_k, all_v, u, p.causal});
  at::Tensor y = attention->output(last_bias_.defined() ? u + last_bias_ : u);
  if (multiplier_.defined()) y = y * multiplier_;
  return scale ? scale->forward(y) : y;
}

MlpBranch::MlpBranch(const TransformerBlockOptions& o, const BranchStyle& style,
                     const Random& random)
    : torch::nn::Module("MlpBranch"), input_scale_(style.input_scale) {
  FeedForwardOptions options = o.mlp;
  options.bias = options.bias && !style.scalars;
  norm = leading_norm(o, o.mlp.dim, style);
  mlp = std::make_shared<FeedForward>(options, random.split(o.names.mlp));
  scale = trailing_scale(o, o.mlp.dim);
  if (norm) register_module("norm", norm);
  register_module("mlp", mlp);
  if (scale) register_module("scale", scale);
  if (!style.scalars) return;
  first_bias_ = register_parameter(o.names.mlp + "_bias1", torch::zeros({1}));
  mlp->act_shift = register_parameter(o.names.mlp + "_bias2", torch::zeros({1}));
  mlp->second_shift = register_parameter(o.names.mlp + "_bias3", torch::zeros({1}));
  multiplier_ = register_parameter(o.names.mlp + "_scale", torch::ones({1}));
}

std::vector<at::Tensor> MlpBranch::branch_weights() const {
  return {mlp->first->weight, mlp->second->weight};
}

at::Tensor MlpBranch::forward(const at::Tensor& x) const {
  at::Tensor y = mlp->forward(entered(norm, input_scale_, first_bias_, x));
  if (multiplier_.defined()) y = y * multiplier_;
  return scale ? scale->forward(y) : y;
}

TransformerBlock::TransformerBlock(const TransformerBlockOptions& o,
                                   const BranchStyle& attention_style, const BranchStyle& mlp_style,
                                   const Random& random)
    : torch::nn::Module("TransformerBlock") {
  check_style(attention_style);
  check_style(mlp_style);
  attention = std::make_shared<AttentionBranch>(o, attention_style, random);
  mlp = std::make_shared<MlpBranch>(o, mlp_style, random);
  if (attention->norm) register_module(o.names.norm1, attention->norm);
  register_module(o.names.attention, attention->attention);
  if (attention->scale) register_module(o.names.scale1, attention->scale);
  if (mlp->norm) register_module(o.names.norm2, mlp->norm);
  register_module(o.names.mlp, mlp->mlp);
  if (mlp->scale) register_module(o.names.scale2, mlp->scale);
  for (const torch::nn::Module* branch : {static_cast<torch::nn::Module*>(attention.get()),
                                          static_cast<torch::nn::Module*>(mlp.get())})
    for (const auto& scalar : branch->named_parameters(/*recurse=*/false))
      register_parameter(scalar.key(), scalar.value());
}

std::vector<Site> transformer_sites(int64_t depth, int64_t dim) {
  std::vector<Site> sites;
  for (int64_t block = 0; block < depth; ++block) {
    sites.push_back(
        {.block = block, .sublayer = 0, .kind = SiteKind::attention, .c_in = dim, .c_out = dim});
    sites.push_back(
        {.block = block, .sublayer = 1, .kind = SiteKind::mlp, .c_in = dim, .c_out = dim});
  }
  return sites;
}

}  // namespace residua
