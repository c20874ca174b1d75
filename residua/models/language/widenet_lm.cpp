#include "residua/models/language/widenet_lm.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/models/classifier.h"
#include "residua/models/transformer_block.h"

namespace residua {

namespace {

constexpr double kWideLmStddev = 0.02, kWideLmNormEps = 1e-6;

}  // namespace

void WideNetLmOptions::fields(Fields& f) {
  blocks.fields(f);
  f.add("embedding", embedding, "width of a token's vector, which is then projected to dim",
        {.min = 1});
  f.add("ctx", ctx, "longest sequence", {.min = 1, .max = 1 << 20});
  f.add("vocab_size", vocab_size, "number of different tokens", {.min = 1});
}

WideNetLm::WideNetLm(const WideNetLmOptions& options, const Random& random) : options_(options) {
  const WideNetLmOptions& o = options_;
  const int64_t dim = o.blocks.dim;
  info_ = {.num_classes = o.vocab_size,
           .vocabulary = o.vocab_size,
           .context = o.ctx,
           .classifier = "lm_head"};
  connect(o.blocks.connection,
          {.kind = CarrierKind::gpt, .sites = transformer_sites(o.blocks.depth, dim)}, random);
  const auto table = [&](const char* name, int64_t count, int64_t size) {
    return register_module(
        name, std::make_shared<Embedding>(count, size, kWideLmStddev, random.split(name)));
  };
  const auto layer = [&](const char* name, int64_t in, int64_t out, bool bias) {
    return register_module(
        name, linear(in, out, {.bias = bias, .stddev = kWideLmStddev}, random.split(name)));
  };
  wte_ = table("wte", o.vocab_size, o.embedding);
  wte_proj_ = layer("wte_proj", o.embedding, dim, false);
  wpe_ = table("wpe", o.ctx, dim);
  blocks_ = std::make_unique<WideBlocks>(*this, o.blocks, kWideLmStddev, random.split("blocks"));
  for (int64_t i = 0; i < o.blocks.depth; ++i)
    info_.levels.push_back({blocks_->level_name(i), dim, 1});
  norm_ = register_module("norm", std::make_shared<LayerNorm>(dim, kWideLmNormEps));
  head_proj_ = layer("head_proj", dim, o.embedding, true);
  head_ = layer("lm_head", o.embedding, o.vocab_size, false);
}

at::Tensor WideNetLm::embed(const at::Tensor& ids, int64_t offset) {
  check_input(ids);
  if (offset + ids.size(1) > options_.ctx)
    throw Error(ErrorKind::shape, {.where = "input",
                                   .rule = "goes beyond the model's context",
                                   .expected = fmt::format("at most {} tokens", options_.ctx),
                                   .received = std::to_string(offset + ids.size(1))});
  const at::Tensor places =
      at::arange(offset, offset + ids.size(1), ids.options().requires_grad(false));
  return wte_proj_->forward(wte_->forward(ids)) + wpe_->forward(places);
}

StreamParts WideNetLm::stream_parts() {
  return {.schedule = schedule(),
          .branch = [this](const Site& site, const at::Tensor& input, State& state) {
            return blocks_->run(site, input, state, /*causal=*/true);
          }};
}

at::Tensor WideNetLm::run_embeddings(const at::Tensor& x, DecodeCache* cache) {
  if (cache != nullptr)
    throw Error(ErrorKind::unsupported,
                {.where = "widenet_lm",
                 .rule = "cannot decode token by token",
                 .hint = "compute the whole sequence again for each token"});
  return run(x, stream_parts());
}

at::Tensor WideNetLm::unembed(const at::Tensor& stream) {
  return head_->forward(at::gelu(head_proj_->forward(norm_->forward(stream))));
}

at::Tensor WideNetLm::forward(at::Tensor ids) { return unembed(run_embeddings(embed(ids))); }

std::vector<at::Tensor> WideNetLm::features(at::Tensor ids) {
  std::vector<at::Tensor> levels(static_cast<size_t>(options_.blocks.depth));
  StreamParts parts = stream_parts();
  parts.visit = [&](const Site& site, const State& state) {
    levels[static_cast<size_t>(site.block)] = connection_->finish(state);
  };
  run(embed(ids), parts);
  return levels;
}

void WideNetLm::reset_classifier(int64_t num_classes, Random random) {
  head_ = replace_module("lm_head", fresh_classifier(*head_, num_classes, random));
  info_.num_classes = num_classes;
}

void add_widenet_lms(Registry<Model, Random>& models) {
  models.add<WideNetLmOptions>(
      {"widenet_lm", "language model of one shared block with experts", "widenet"}, {},
      [](const WideNetLmOptions& o, const Random& random) {
        return std::make_shared<WideNetLm>(o, random);
      });
}

}  // namespace residua
