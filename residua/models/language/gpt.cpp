#include "residua/models/language/gpt.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/models/classifier.h"
#include "residua/nn/observe.h"

namespace residua {

namespace {

constexpr double kGptStddev = 0.02, kGptNormEps = 1e-5;

// 4 dim; a gated one has three matrices and 2/3 of that, rounded up to a multiple of 8.
int64_t gpt_hidden(const GptOptions& o) {
  if (o.hidden > 0) return o.hidden;
  if (o.mlp == GptMlp::gelu) return 4 * o.dim;
  return (8 * o.dim / 3 + 7) / 8 * 8;
}

// GPT-2 begins with smaller branches the more of them add up: 0.02 / sqrt(executed sites).
TransformerBlockOptions gpt_block_options(const GptOptions& o, size_t sites) {
  const double last = kGptStddev / std::sqrt(static_cast<double>(sites));
  const bool gated = o.mlp == GptMlp::swiglu;
  return {.names = {.norm1 = "ln_1", .norm2 = "ln_2"},
          .norm = o.norm,
          .norm_eps = kGptNormEps,
          .norm_bias = o.bias,
          .attention = {.dim = o.dim,
                        .heads = o.heads,
                        .kv_heads = o.kv_heads,
                        .bias = o.bias,
                        .weight_dropout = o.dropout,
                        .output_dropout = o.dropout,
                        .stddev = kGptStddev,
                        .output_stddev = last,
                        .in_name = "c_attn",
                        .out_name = "c_proj"},
          .mlp = {.dim = o.dim,
                  .hidden = gpt_hidden(o),
                  .act = gated ? Activation::silu : Activation::gelu,
                  .gated = gated,
                  .bias = o.bias,
                  .output_dropout = o.dropout,
                  .stddev = kGptStddev,
                  .output_stddev = last,
                  .first_name = "c_fc",
                  .second_name = "c_proj",
                  .gate_name = "c_gate"}};
}

}  // namespace

void GptOptions::fields(Fields& f) {
  f.add("dim", dim, "width of the stream", {.min = 1});
  f.add("depth", depth, "blocks", {.min = 1});
  f.add("heads", heads, "of each attention; divides dim", {.min = 1});
  f.add("kv_heads", kv_heads, "heads of keys and values; divides heads; 0: as many", {.min = 0});
  f.add("hidden", hidden, "inner width of the MLPs; 0: 4 dim, gated 8/3 dim", {.min = 0});
  f.add("ctx", ctx, "longest sequence", {.min = 1, .max = 1 << 20});
  f.add("vocab_size", vocab_size, "number of different tokens", {.min = 1});
  f.add("norm", norm, "layer normalisation, or by the root mean square alone");
  f.add("positions", positions, "added to the embedding, or turning queries and keys");
  f.add("mlp", mlp, "W2 gelu(W1 x), or the gated W2 (silu(Wg x) * W1 x)");
  f.add("bias", bias, "in linear layers and layer normalisations");
  f.add("dropout", dropout, "of embeddings, attention weights and branches",
        {.min = 0, .max = 1, .open_max = true});
  f.add("tied", tied, "the output layer's weights are the embedding's");
  f.add("connection", connection,
        "how the residual stream is read and merged: a name of `residua list connections`, and its "
        "options");
}

TiedLinear::TiedLinear(std::shared_ptr<const Embedding> embedding)
    : torch::nn::Module("TiedLinear"), embedding_(std::move(embedding)) {}

at::Tensor TiedLinear::forward(const at::Tensor& x) const {
  at::Tensor y = at::linear(x, embedding_->weight);
  observe(*this, x, y);
  return y;
}

int64_t TiedLinear::macs(const at::Tensor& input, const at::Tensor& output) const {
  return output.numel() * input.size(-1);
}

Gpt::Gpt(const GptOptions& options, const Random& random) : options_(options) {
  const GptOptions& o = options_;
  info_ = {.num_classes = o.vocab_size,
           .vocabulary = o.vocab_size,
           .context = o.ctx,
           .classifier = "lm_head"};
  connect(o.connection, {.kind = CarrierKind::gpt, .sites = transformer_sites(o.depth, o.dim)},
          random);
  const auto transformer =
      register_module("transformer", std::make_shared<torch::nn::Module>("Transformer"));
  wte_ = transformer->register_module(
      "wte", std::make_shared<Embedding>(o.vocab_size, o.dim, kGptStddev, random.split("wte")));
  if (o.positions == GptPositions::learned)
    wpe_ = transformer->register_module(
        "wpe", std::make_shared<Embedding>(o.ctx, o.dim, kGptStddev, random.split("wpe")));
  add_blocks(*transformer, random);
  if (o.positions == GptPositions::rotary)
    rotary_ = std::make_unique<Rotary>(o.dim / o.heads, kRotaryBase);
  const EndStyle ends = connection_->ends();
  if (ends.norm)
    ln_f_ = transformer->register_module("ln_f", vector_norm(o.norm, o.dim, kGptNormEps, o.bias));
  if (ends.scalars) bias2_ = register_parameter("bias2", torch::zeros({1}));
  if (ends.zero_classifier && o.tied)
    throw Error(
        ErrorKind::unsupported,
        {.where = "connection",
         .rule = fmt::format("{} does not ride a gpt: its output layer begins at zero, which "
                             "one that is tied to the embedding cannot",
                             o.connection.name),
         .hint = "set tied=false"});
  connection_->set_readout([this](const at::Tensor& stream) { return unembed(stream); });
  if (o.tied)
    tied_ = register_module("lm_head", std::make_shared<TiedLinear>(wte_));
  else
    head_ = register_module("lm_head",
                            linear(o.dim, o.vocab_size, {.bias = false, .stddev = kGptStddev},
                                   random.split("lm_head")));
  if (ends.zero_classifier) zero_weights(*head_);
}

void Gpt::add_blocks(torch::nn::Module& transformer, const Random& random) {
  const TransformerBlockOptions block_options = gpt_block_options(options_, schedule().size());
  const auto list = transformer.register_module("h", std::make_shared<torch::nn::Module>("Blocks"));
  for (int64_t i = 0; i < options_.depth; ++i) {
    if (!runs(2 * i)) continue;  // shares the weights of another one
    const std::string name = std::to_string(i);
    const auto block = std::make_shared<TransformerBlock>(
        block_options, connection_->style(site_of(2 * i)), connection_->style(site_of(2 * i + 1)),
        random.split("h").split(name));
    blocks_.push_back(list->register_module(name, block));
    built(2 * i, *block->attention, random);
    built(2 * i + 1, *block->mlp, random);
    info_.levels.push_back({"transformer.h." + name, options_.dim, 1});
  }
}

at::Tensor Gpt::embed(const at::Tensor& ids, int64_t offset) {
  check_input(ids);
  if (offset + ids.size(1) > options_.ctx)
    throw Error(ErrorKind::shape, {.where = "input",
                                   .rule = "goes beyond the model's context",
                                   .expected = fmt::format("at most {} tokens", options_.ctx),
                                   .received = std::to_string(offset + ids.size(1))});
  at::Tensor x = wte_->forward(ids);
  if (wpe_)
    x = x +
        wpe_->forward(at::arange(offset, offset + ids.size(1), ids.options().requires_grad(false)));
  return options_.dropout > 0 ? at::dropout(x, options_.dropout, is_training()) : x;
}

StreamParts Gpt::stream_parts(DecodeCache* cache) {
  return {.schedule = schedule(),
          .branch = [this, cache](const Site& site, const at::Tensor& input, State& state) {
            const TransformerBlock& block = *blocks_[static_cast<size_t>(site.block)];
            if (site.sublayer == 1) return block.mlp->forward(input);
            return block.attention->forward(input, {connection(), site, state, /*causal=*/true,
                                                    rotary_.get(), cache, visit_attention_});
          }};
}

at::Tensor Gpt::run_embeddings(const at::Tensor& x, DecodeCache* cache) {
  if (cache != nullptr && !decodes())
    throw Error(ErrorKind::unsupported,
                {.where = "connection " + options_.connection.name,
                 .rule = "cannot decode token by token",
                 .hint = "compute the whole sequence again for each token"});
  return run(x, stream_parts(cache));
}

at::Tensor Gpt::unembed(const at::Tensor& stream) {
  at::Tensor y = ln_f_ ? ln_f_->forward(stream) : stream;
  if (bias2_.defined()) y = y + bias2_;
  return tied_ ? tied_->forward(y) : head_->forward(y);
}

at::Tensor Gpt::forward(at::Tensor ids) { return unembed(run_embeddings(embed(ids))); }

std::vector<at::Tensor> Gpt::features(at::Tensor ids) {
  std::vector<at::Tensor> levels(blocks_.size());
  StreamParts parts = stream_parts(nullptr);
  parts.visit = [&](const Site& site, const State& state) {
    levels[static_cast<size_t>(site.block)] = connection_->finish(state);
  };
  run(embed(ids), parts);
  return levels;
}

void Gpt::reset_classifier(int64_t num_classes, Random random) {
  const Linear old(options_.dim, 1, {.bias = false, .stddev = kGptStddev}, Random(0));
  auto fresh = fresh_classifier(head_ ? *head_ : old, num_classes, random);
  fresh->to(wte_->weight.device(), wte_->weight.scalar_type());
  fresh->train(is_training());
  if (connection_->ends().zero_classifier) zero_weights(*fresh);
  head_ = fresh;
  tied_ = nullptr;
  options_.tied = false;
  replace_module("lm_head", head_);
  info_.num_classes = num_classes;
}

State Gpt::run_blocks(State state, int64_t first, int64_t last, DecodeCache* cache) {
  const StreamParts all = stream_parts(cache);
  std::vector<Site> part;
  for (const Site& site : schedule())
    if (site.block >= first && site.block < last) part.push_back(site);
  return continue_stream(connection(), std::move(state), {.schedule = part, .branch = all.branch});
}

void Gpt::fill_cache(const at::Tensor& x, int64_t first, DecodeCache& cache) {
  for (const Site& site : schedule()) {
    if (site.block < first || site.sublayer != 0) continue;
    const AttentionBranch& branch = *blocks_[static_cast<size_t>(site.block)]->attention;
    const auto [q, k, v] = branch.attention->project(branch.norm ? branch.norm->forward(x) : x);
    cache.append(2 * site.step, rotary_ ? rotary_->apply(k, cache.length) : k, 2);
    cache.append(2 * site.step + 1, v, 2);
  }
}

void add_gpts(Registry<Model, Random>& models) {
  models.add<GptOptions>(
      {"gpt", "decoder-only transformer language model", "gpt"}, {},
      [](const GptOptions& o, const Random& random) { return std::make_shared<Gpt>(o, random); });
  models.add<GptOptions>(
      {"gpt2", "GPT-2 of 124 million parameters", "gpt"},
      {.dim = 768, .depth = 12, .heads = 12, .ctx = 1024, .vocab_size = 50257},
      [](const GptOptions& o, const Random& random) { return std::make_shared<Gpt>(o, random); });
}

}  // namespace residua
