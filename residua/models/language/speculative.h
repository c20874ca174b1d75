#pragma once
// Decoding a GPT on the connection `multirate`: token by token, leaving early at its gates, and
// with its fast stream as the draft of speculative decoding (Leviathan, Kalman, Matias 2022,
// arXiv:2211.17192), which changes nothing in what is written.

#include <vector>

#include "residua/connections/multirate.h"
#include "residua/models/language/gpt.h"

namespace residua {

// A drafted token meets the model's own distribution p [V], having been drawn from q [V]: accepted
// with probability min(1, p / q), else drawn anew from max(0, p - q). The token that results is
// distributed as p.
struct Verified {
  int64_t token = 0;
  bool accepted = false;
};
Verified verify_draft(const at::Tensor& p, const at::Tensor& q, int64_t token, Random& random);

struct Decoded {
  std::vector<int64_t> tokens;    // that were written, without the prompt
  int64_t passes = 0;             // through the whole depth
  int64_t drafted = 0, kept = 0;  // speculative: tokens drafted, and kept of them
  std::vector<int64_t> exits;  // early exit: tokens that left at each gate; the rest went through
};

class MultirateDecoder final {
 public:
  // Throws ErrorKind::invalid_argument unless the model rides `multirate`.
  explicit MultirateDecoder(Gpt& gpt);

  // The likeliest token each time; the prompt has at least one token, and all fits the context.
  Decoded greedy(const std::vector<int64_t>& prompt, int64_t count);
  // Leaves at the first gate whose router is surer than `threshold`. Keys and values of the layers
  // that were left out are those of the state that left.
  Decoded early_exit(const std::vector<int64_t>& prompt, int64_t count, double threshold);
  // Drafts `gamma` tokens at a time with the blocks before gate number `gate`, and checks them in
  // one pass. With temperature 0 writes what greedy() writes.
  Decoded speculative(const std::vector<int64_t>& prompt, int64_t count, int64_t gamma, size_t gate,
                      double temperature, Random random);

 private:
  at::Tensor whole(const std::vector<int64_t>& ids, DecodeCache& cache);  // logits [T, V]
  at::Tensor draft(const std::vector<int64_t>& ids, size_t gate, DecodeCache& cache);
  int64_t leave_early(int64_t id, double threshold, DecodeCache& cache, Decoded& out);

  Gpt& gpt_;
  MultirateConnection& connection_;
};

}  // namespace residua
