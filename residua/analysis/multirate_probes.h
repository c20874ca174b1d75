#pragma once
// Probes of a GPT trained on the connection `multirate` (arXiv:2502.02040): what its fast stream is
// worth in decoding, and in guessing which experts deeper layers would need.

#include <ATen/core/Tensor.h>

#include <vector>

#include "residua/analysis/expert_cache.h"
#include "residua/analysis/probe.h"

namespace residua {

struct MultirateDecodeOptions {
  int64_t prompts = 16;
  int64_t prompt_length = 8;
  int64_t tokens = 40;
  int64_t gamma = 4;
  int64_t gate = 0;
  double threshold = 0.9;
  void fields(Fields& f);
};

struct ExpertPrefetchOptions {
  int64_t tokens = 2000;
  int64_t experts = 8;
  int64_t top_k = 2;
  int64_t ahead = 1;
  int64_t capacity = 12;
  double load_time = 0.3;
  void fields(Fields& f);
};

// The steps of one text: at block b needed are the `top_k` largest of routers[b] times the
// normalised state[b], predicted those of guess[b - ahead]. states, guesses: [T, d] for each block,
// guesses undefined where there is none; routers [E, d]. Token by token, block by block.
std::vector<ExpertStep> expert_steps(const std::vector<at::Tensor>& states,
                                     const std::vector<at::Tensor>& guesses,
                                     const std::vector<at::Tensor>& routers, int64_t top_k,
                                     int64_t ahead);

// multirate-decode: plain, early-exit and speculative decoding of test prompts. Metrics
// plain.tokens_per_second, early.tokens_per_second, early.agreement (tokens that plain decoding
// writes too), early.part (tokens that left), speculative.tokens_per_second, kept_per_pass (drafted
// tokens kept), tokens_per_pass and lossless (part of the prompts continued as by plain decoding).
// In float64, where one pass over many tokens and a pass for each choose alike.
//
// expert-prefetch: random routers on the states of a trained network stand for a mixture of
// experts; metrics fast_hit_rate, slow_hit_rate, none_hit_rate and the times fast_time, slow_time,
// none_time in layers for each token, with the fast stream, the slow one, or nobody guessing.
void add_multirate_probes(Registry<Probe>& probes);

}  // namespace residua
