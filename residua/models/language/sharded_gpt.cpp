#include "residua/models/language/sharded_gpt.h"

#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/nn/shard.h"

namespace residua {

ShardedGpt::ShardedGpt(std::shared_ptr<Gpt> whole, std::shared_ptr<Collective> ranks)
    : whole_(std::move(whole)), ranks_(std::move(ranks)) {
  const GptOptions& o = whole_->options();
  const int64_t rank = ranks_->rank(), world = ranks_->world();
  if (!whole_->connection().parameters().empty())
    throw Error(ErrorKind::unsupported, {.where = "connection " + o.connection.name,
                                         .rule = "has parameters, which are not cut over ranks"});
  Carrier carrier = whole_->carrier();
  carrier.collective = ranks_.get();
  connection_ = connections().create(o.connection, carrier, Random(0));
  connection_->eval();
  schedule_ = numbered(connection_->schedule(carrier.sites));

  head_dim_ = o.dim / o.heads;
  const int64_t all_kv = o.kv_heads > 0 ? o.kv_heads : o.heads;
  const auto [head, head_end] = share_of(o.heads, rank, world);
  const auto [kv, kv_end] = share_of(all_kv, rank, world);
  heads_ = head_end - head;
  kv_heads_ = kv_end - kv;
  const auto channels = [this](int64_t first, int64_t begin, int64_t end) {
    return std::pair{(first + begin) * head_dim_, (first + end) * head_dim_};
  };
  for (const auto& block : whole_->blocks()) {
    const Attention& a = *block->attention->attention;
    const FeedForward& m = *block->mlp->mlp;
    const auto inner = share_of(m.first->weight.size(0), rank, world);
    if (!block->attention->norm || !block->mlp->norm)
      throw Error(ErrorKind::unsupported,
                  {.where = "connection " + o.connection.name,
                   .rule = "leaves out normalisations, whose place is not cut over ranks"});
    Block part;
    part.norm1 = block->attention->norm;
    part.norm2 = block->mlp->norm;
    part.qkv = column_shard(*a.in, {channels(0, head, head_end), channels(o.heads, kv, kv_end),
                                    channels(o.heads + all_kv, kv, kv_end)});
    part.proj = row_shard(*a.out, channels(0, head, head_end), rank);
    part.first = column_shard(*m.first, {inner});
    if (m.gate) part.gate = column_shard(*m.gate, {inner});
    part.second = row_shard(*m.second, inner, rank);
    blocks_.push_back(std::move(part));
  }
  if (o.positions == GptPositions::rotary)
    rotary_ = std::make_unique<Rotary>(head_dim_, Gpt::kRotaryBase);
}

at::Tensor ShardedGpt::attend(const Block& block, const Site& site, const at::Tensor& x,
                              DecodeCache& cache) {
  const at::Tensor all = block.qkv->forward(block.norm1->forward(x))
                             .view({x.size(0), x.size(1), -1, head_dim_})
                             .transpose(1, 2);
  const auto turned = [&](const at::Tensor& t) {
    return rotary_ ? rotary_->apply(t, cache.length) : t;
  };
  const at::Tensor q = turned(all.narrow(1, 0, heads_));
  const at::Tensor k = cache.append(2 * site.step, turned(all.narrow(1, heads_, kv_heads_)), 2);
  const at::Tensor v =
      cache.append(2 * site.step + 1, all.narrow(1, heads_ + kv_heads_, kv_heads_), 2);
  const at::Tensor u = core_.forward(q, k, v, /*causal=*/true);
  return block.proj->forward(u.transpose(1, 2).reshape({x.size(0), x.size(1), heads_ * head_dim_}));
}

at::Tensor ShardedGpt::run_mlp(const Block& block, const at::Tensor& x) const {
  const at::Tensor in = block.norm2->forward(x);
  const at::Tensor h = block.first->forward(in);
  return block.second->forward(block.gate ? activate(block.gate->forward(in), Activation::silu) * h
                                          : activate(h, Activation::gelu));
}

at::Tensor ShardedGpt::run_branch(const Site& site, const at::Tensor& x, State& state,
                                  DecodeCache& cache) {
  const Block& block = blocks_[static_cast<size_t>(site.block)];
  at::Tensor y = site.sublayer == 0 ? attend(block, site, x, cache) : run_mlp(block, x);
  if (connection_->sums_ranks() || ranks_->world() == 1) return y;
  y = y.contiguous();
  state.arrivals[State::kBranch] = ranks_->start_sum(y);
  return y;
}

at::Tensor ShardedGpt::decode(const at::Tensor& ids, DecodeCache& cache) {
  const at::NoGradGuard no_grad;
  StreamParts parts{.schedule = schedule_};
  parts.branch = [&](const Site& site, const at::Tensor& input, State& state) {
    return run_branch(site, input, state, cache);
  };
  const State state = run_stream(*connection_, whole_->embed(ids, cache.length), parts);
  const at::Tensor logits = whole_->unembed(connection_->finish(state));
  cache.length += ids.size(1);
  return logits;
}

int64_t ShardedGpt::branch_bytes() const {
  int64_t bytes = 0;
  for (const Block& block : blocks_)
    for (const auto& part : {block.qkv, block.proj, block.gate, block.first, block.second})
      if (part)
        for (const at::Tensor& p : part->parameters()) bytes += static_cast<int64_t>(p.nbytes());
  return bytes;
}

}  // namespace residua
