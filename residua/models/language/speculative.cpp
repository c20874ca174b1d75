#include "residua/models/language/speculative.h"

#include <torch/torch.h>

#include <algorithm>

#include "residua/core/error.h"

namespace residua {

namespace {

constexpr int64_t kTokens = 2;  // dimension of cached keys and values

MultirateConnection& multirate_of(Gpt& gpt) {
  if (auto* connection = dynamic_cast<MultirateConnection*>(&gpt.connection())) return *connection;
  throw Error(ErrorKind::invalid_argument, {.where = "decoder",
                                            .rule = "needs a model on the connection multirate",
                                            .received = gpt.options().connection.name});
}

at::Tensor ids_tensor(const std::vector<int64_t>& ids) {
  return at::tensor(ids, at::kLong).unsqueeze(0);
}

int64_t likeliest(const at::Tensor& logits) { return logits.argmax(-1).item<int64_t>(); }

// [V] of logits [V]; one-hot at temperature 0, so that drawing is choosing the likeliest.
at::Tensor distribution(const at::Tensor& logits, double temperature) {
  if (temperature > 0) return (logits.to(at::kDouble) / temperature).softmax(-1);
  return at::one_hot(logits.argmax(-1), logits.size(-1)).to(at::kDouble);
}

int64_t draw(const at::Tensor& weights, Random& random) {
  const at::Tensor sums = weights.to(at::kDouble).cumsum(0).contiguous();
  const double at = random.uniform() * sums[-1].item<double>();
  const double* const first = sums.data_ptr<double>();
  const double* const last = first + sums.numel();
  return std::min(std::upper_bound(first, last, at) - first, sums.numel() - 1);
}

}  // namespace

Verified verify_draft(const at::Tensor& p, const at::Tensor& q, int64_t token, Random& random) {
  const double wanted = p[token].item<double>(), drafted = q[token].item<double>();
  if (random.uniform() * drafted < wanted) return {token, true};
  return {draw((p - q).clamp_min(0), random), false};
}

MultirateDecoder::MultirateDecoder(Gpt& gpt) : gpt_(gpt), connection_(multirate_of(gpt)) {
  gpt_.eval();
}

at::Tensor MultirateDecoder::whole(const std::vector<int64_t>& ids, DecodeCache& cache) {
  const at::NoGradGuard no_grad;
  connection_.run_fast(false);
  const at::Tensor logits = gpt_.decode(ids_tensor(ids), cache).squeeze(0);
  connection_.run_fast(true);
  return logits;
}

at::Tensor MultirateDecoder::draft(const std::vector<int64_t>& ids, size_t gate,
                                   DecodeCache& cache) {
  const at::NoGradGuard no_grad;
  const int64_t blocks = connection_.gates()[gate];
  const State state = gpt_.run_blocks(connection_.begin(gpt_.embed(ids_tensor(ids), cache.length)),
                                      0, blocks, &cache);
  cache.length += static_cast<int64_t>(ids.size());
  return gpt_.unembed(connection_.exit_state(state, blocks)).squeeze(0)[-1];
}

Decoded MultirateDecoder::greedy(const std::vector<int64_t>& prompt, int64_t count) {
  Decoded out;
  DecodeCache cache;
  std::vector<int64_t> unread = prompt;
  while (static_cast<int64_t>(out.tokens.size()) < count) {
    unread = {likeliest(whole(unread, cache)[-1])};
    ++out.passes;
    out.tokens.push_back(unread.front());
  }
  return out;
}

int64_t MultirateDecoder::leave_early(int64_t id, double threshold, DecodeCache& cache,
                                      Decoded& out) {
  const at::NoGradGuard no_grad;
  State state = connection_.begin(gpt_.embed(ids_tensor({id}), cache.length));
  int64_t done = 0;
  const std::vector<int64_t>& gates = connection_.gates();
  for (size_t j = 0; j < gates.size(); ++j) {
    state = gpt_.run_blocks(std::move(state), done, gates[j], &cache);
    done = gates[j];
    if (connection_.exit_logit(state, done).sigmoid().item<double>() <= threshold) continue;
    const at::Tensor left = connection_.exit_state(state, done);
    gpt_.fill_cache(left, done, cache);
    ++cache.length;
    ++out.exits[j];
    return likeliest(gpt_.unembed(left)[0][0]);
  }
  state = gpt_.run_blocks(std::move(state), done, gpt_.options().depth, &cache);
  ++cache.length;
  ++out.passes;
  return likeliest(gpt_.unembed(connection_.finish(state))[0][0]);
}

Decoded MultirateDecoder::early_exit(const std::vector<int64_t>& prompt, int64_t count,
                                     double threshold) {
  Decoded out{.tokens = {}, .exits = std::vector<int64_t>(connection_.gates().size())};
  DecodeCache cache;
  if (prompt.size() > 1) whole({prompt.begin(), prompt.end() - 1}, cache);
  int64_t id = prompt.back();
  for (int64_t i = 0; i < count; ++i) {
    id = leave_early(id, threshold, cache, out);
    out.tokens.push_back(id);
  }
  return out;
}

Decoded MultirateDecoder::speculative(const std::vector<int64_t>& prompt, int64_t count,
                                      int64_t gamma, size_t gate, double temperature,
                                      Random random) {
  Decoded out;
  DecodeCache checked, drafted;
  std::vector<int64_t> text = prompt;
  if (prompt.size() > 1) whole({prompt.begin(), prompt.end() - 1}, checked);
  const auto end = static_cast<int64_t>(prompt.size()) + count;
  while (static_cast<int64_t>(text.size()) < end) {
    // No further than the last token that is wanted, so that all fits the context.
    const int64_t guesses = std::min(gamma, end - static_cast<int64_t>(text.size()) - 1);
    std::vector<int64_t> guess, unread(text.begin() + drafted.length, text.end());
    std::vector<at::Tensor> q;
    for (int64_t i = 0; i < guesses; ++i) {
      q.push_back(distribution(draft(unread, gate, drafted), temperature));
      guess.push_back(draw(q.back(), random));
      unread = {guess.back()};
    }
    std::vector<int64_t> block{text.back()};
    block.insert(block.end(), guess.begin(), guess.end());
    const at::Tensor logits = whole(block, checked);
    ++out.passes;
    out.drafted += guesses;
    bool rejected = false;
    for (size_t i = 0; i < guess.size() && !rejected; ++i) {
      const at::Tensor p = distribution(logits[static_cast<int64_t>(i)], temperature);
      const Verified verified = verify_draft(p, q[i], guess[i], random);
      text.push_back(verified.token);
      rejected = !verified.accepted;
      out.kept += verified.accepted ? 1 : 0;
    }
    if (!rejected) text.push_back(draw(distribution(logits[-1], temperature), random));
    const auto read = static_cast<int64_t>(text.size()) - 1;  // the newest token is not read yet
    checked.truncate(read, kTokens);
    drafted.truncate(std::min(read, drafted.length), kTokens);
  }
  out.tokens.assign(text.begin() + static_cast<ptrdiff_t>(prompt.size()), text.end());
  return out;
}

}  // namespace residua
