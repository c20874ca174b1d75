#pragma once
// A GPT whose branches are cut over the ranks of a Collective, for decoding: projections to
// queries, keys and values and the first layers of MLPs by columns, the layers after them by rows.
// Each branch ends in a sum over the ranks, which its connection may take late (ladder), for two
// branches at once (parallel) or leave out (desync). Embedding, normalisations and the output layer
// are on every rank.

#include <memory>
#include <vector>

#include "residua/models/language/gpt.h"
#include "residua/nn/collective.h"

namespace residua {

class ShardedGpt final {
 public:
  // This rank's part of `whole`, whose connection must have no parameters. Throws
  // ErrorKind::invalid_argument when heads or inner widths do not divide by the ranks.
  ShardedGpt(std::shared_ptr<Gpt> whole, std::shared_ptr<Collective> ranks);

  // Logits [N, T, vocabulary] of ids [N, T] that follow those in the cache; without gradient. All
  // ranks call this with the same ids and get the same logits.
  at::Tensor decode(const at::Tensor& ids, DecodeCache& cache);

  // Bytes of this rank's branches.
  int64_t branch_bytes() const;

 private:
  struct Block {
    std::shared_ptr<VectorNorm> norm1 = {}, norm2 = {};
    std::shared_ptr<Linear> qkv = {}, proj = {}, gate = {}, first = {}, second = {};
  };
  at::Tensor attend(const Block& block, const Site& site, const at::Tensor& x, DecodeCache& cache);
  at::Tensor run_mlp(const Block& block, const at::Tensor& x) const;
  at::Tensor run_branch(const Site& site, const at::Tensor& x, State& state, DecodeCache& cache);

  std::shared_ptr<Gpt> whole_;
  std::shared_ptr<Collective> ranks_;
  std::shared_ptr<Connection> connection_;
  std::vector<Site> schedule_;
  std::vector<Block> blocks_;
  std::unique_ptr<Rotary> rotary_;
  AttentionCore core_{0};
  int64_t heads_, kv_heads_, head_dim_;  // of this rank
};

}  // namespace residua
