#include "residua/models/widenet_blocks.h"

#include <torch/torch.h>

#include <algorithm>

namespace residua {

namespace {

constexpr double kWideNormEps = 1e-6;

bool shares_attention(WideShare share) {
  return share == WideShare::both || share == WideShare::attn;
}
bool shares_experts(WideShare share) { return share == WideShare::both || share == WideShare::moe; }

// Modules that `depth` blocks need when groups of `size` share one (0: all of them).
int64_t group_count(int64_t depth, bool shared, int64_t size) {
  if (!shared) return depth;
  return size == 0 ? 1 : (depth + size - 1) / size;
}

std::string group_name(int64_t group, int64_t groups) {
  return groups == 1 ? "shared" : std::to_string(group);
}

// The child of this name, made where it is missing.
std::shared_ptr<torch::nn::Module> child_of(torch::nn::Module& parent, const std::string& name) {
  for (const auto& child : parent.named_children())
    if (child.key() == name) return child.value();
  return parent.register_module(name, std::make_shared<torch::nn::Module>("Block"));
}

void add_loss(State& state, const std::string& name, const at::Tensor& loss) {
  at::Tensor& sum = state.losses[name];
  sum = sum.defined() ? sum + loss : loss;
}

}  // namespace

void WideBlocksOptions::fields(Fields& f) {
  f.add("dim", dim, "width of the stream", {.min = 1});
  f.add("depth", depth, "blocks", {.min = 1});
  f.add("heads", heads, "of each attention; divides dim", {.min = 1});
  f.add("mlp_ratio", mlp_ratio, "inner width of an expert over the stream's",
        {.min = 0, .open_min = true});
  f.add("experts", experts, "of a mixture; 1: a dense feed-forward layer", {.min = 1});
  f.add("top_k", top_k, "experts of a token", {.min = 1});
  f.add("capacity_factor", capacity_factor, "room of an expert over its fair share; 0: for all",
        {.min = 0});
  f.add("balance", balance, "weight of the loss that balances experts", {.min = 0});
  f.add("z_loss", z_loss, "weight of the loss that keeps the router's logits small", {.min = 0});
  f.add("act_after", act_after, "GELU also after an expert's second layer");
  f.add("share", share, "what blocks share: both, attn (attention), moe (experts) or none");
  f.add("share_groups", share_groups, "blocks that share with one another; 0: all", {.min = 0});
  f.add("norms", norms, "of each block its own, or one pair for all");
  f.add("connection", connection,
        "how the residual stream is read and merged: a name of `residua list connections`, and its "
        "options");
}

WideBlocks::WideBlocks(torch::nn::Module& root, const WideBlocksOptions& options, double stddev,
                       const Random& random)
    : options_(options) {
  const WideBlocksOptions& o = options_;
  const auto hidden = static_cast<int64_t>(o.mlp_ratio * static_cast<double>(o.dim));
  const int64_t attentions = group_count(o.depth, shares_attention(o.share), o.share_groups);
  const int64_t moes = group_count(o.depth, shares_experts(o.share), o.share_groups);
  const auto blocks =
      root.register_module("blocks", std::make_shared<torch::nn::Module>("WideBlocks"));
  for (int64_t g = 0; g < attentions; ++g) {
    const std::string name = group_name(g, attentions);
    attentions_.push_back(
        child_of(*blocks, name)
            ->register_module(
                "attn",
                std::make_shared<Attention>(
                    AttentionOptions{
                        .dim = o.dim, .heads = o.heads, .stddev = stddev, .output_stddev = stddev},
                    random.split("attn").split(name))));
  }
  for (int64_t g = 0; g < moes; ++g) {
    const std::string name = group_name(g, moes);
    moes_.push_back(
        child_of(*blocks, name)
            ->register_module(
                "moe", std::make_shared<Moe>(MoeOptions{.dim = o.dim,
                                                        .hidden = std::max<int64_t>(1, hidden),
                                                        .experts = o.experts,
                                                        .top_k = o.top_k,
                                                        .capacity_factor = o.capacity_factor,
                                                        .act_after = o.act_after,
                                                        .stddev = stddev},
                                             random.split("moe").split(name))));
  }
  const auto norms = root.register_module("norms", std::make_shared<torch::nn::Module>("Norms"));
  const bool individual = o.norms == WideNorms::individual;
  for (int64_t i = 0; i < (individual ? o.depth : 1); ++i) {
    const auto pair = child_of(*norms, individual ? std::to_string(i) : "shared");
    norms_.push_back(
        {pair->register_module("0", std::make_shared<LayerNorm>(o.dim, kWideNormEps)),
         pair->register_module("1", std::make_shared<LayerNorm>(o.dim, kWideNormEps))});
  }
}

size_t WideBlocks::group_of(int64_t block, bool shared, size_t groups) const {
  if (groups == 1) return 0;
  return static_cast<size_t>(shared ? block / options_.share_groups : block);
}

std::string WideBlocks::level_name(int64_t block) const {
  const size_t group = group_of(block, shares_experts(options_.share), moes_.size());
  return "blocks." + group_name(static_cast<int64_t>(group), static_cast<int64_t>(moes_.size()));
}

const Attention& WideBlocks::attention_of(int64_t block) const {
  return *attentions_[group_of(block, shares_attention(options_.share), attentions_.size())];
}

const Moe& WideBlocks::moe_of(int64_t block) const {
  return *moes_[group_of(block, shares_experts(options_.share), moes_.size())];
}

at::Tensor WideBlocks::run(const Site& site, const at::Tensor& x, State& state, bool causal) const {
  const auto& norms = norms_[norms_.size() == 1 ? 0 : static_cast<size_t>(site.block)];
  const at::Tensor in = norms[static_cast<size_t>(site.sublayer)]->forward(x);
  if (site.sublayer == 0) {
    const Attention& attention = attention_of(site.block);
    const auto [q, k, v] = attention.project(in);
    return attention.output(attention.mix(q, k, v, causal));
  }
  const Moe::Output out = moe_of(site.block).forward(in);
  if (visit_) visit_(site, out.routes);
  // Averaged over the blocks.
  const double share = 1 / static_cast<double>(options_.depth);
  if (options_.balance > 0 && options_.experts > 1)
    add_loss(state, "moe.balance", options_.balance * share * out.routes.balance);
  if (options_.z_loss > 0) add_loss(state, "moe.z", options_.z_loss * share * out.routes.z);
  return out.y;
}

}  // namespace residua
