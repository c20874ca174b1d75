#include "residua/analysis/multirate_probes.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>

#include "residua/analysis/probed_model.h"
#include "residua/core/error.h"
#include "residua/models/language/speculative.h"
#include "residua/nn/init.h"

namespace residua {

namespace {

double multirate_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Gpt& multirate_gpt_of(const ProbedModel& probed, const std::string& probe) {
  Gpt& gpt = probed.gpt(probe);
  if (dynamic_cast<MultirateConnection*>(&gpt.connection()) != nullptr) return gpt;
  throw Error(ErrorKind::unsupported, {.where = "probe " + probe,
                                       .rule = "looks at a GPT on the connection multirate",
                                       .received = probed.options.model.name});
}

// The first `count` tokens of the test part.
std::vector<int64_t> test_text(const ProbedModel& probed, int64_t count) {
  const int64_t window = probed.model->info().context;
  std::vector<int64_t> text;
  for (const Batch& batch : probed.test_batches((count + window - 1) / window)) {
    const at::Tensor ids = batch.input.contiguous();
    text.insert(text.end(), ids.data_ptr<int64_t>(), ids.data_ptr<int64_t>() + ids.numel());
  }
  if (static_cast<int64_t>(text.size()) < count)
    throw Error(ErrorKind::invalid_argument, {.where = "probe",
                                              .rule = "needs more test text than there is",
                                              .expected = fmt::format("{} tokens", count),
                                              .received = std::to_string(text.size())});
  text.resize(static_cast<size_t>(count));
  return text;
}

struct DecodeTimes {
  double plain = 0, early = 0, speculative = 0;
};

class MultirateDecodeProbe final : public Probe {
 public:
  explicit MultirateDecodeProbe(const MultirateDecodeOptions& options) : o_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    const ProbedModel probed = open_probed(context, "multirate-decode");
    Gpt& gpt = multirate_gpt_of(probed, "multirate-decode");
    gpt.to(at::kDouble);
    MultirateDecoder decoder(gpt);
    const std::vector<int64_t> text = test_text(probed, o_.prompts * o_.prompt_length);
    DecodeTimes seconds;
    double agreed = 0, exited = 0, kept = 0, passes = 0, lossless = 0;
    for (int64_t i = 0; i < o_.prompts; ++i) {
      const auto from = text.begin() + i * o_.prompt_length;
      const std::vector<int64_t> prompt(from, from + o_.prompt_length);
      const auto timed = [&](double& sum, const auto& decode) {
        const double begin = multirate_clock();
        Decoded out = decode();
        sum += multirate_clock() - begin;
        return out;
      };
      const Decoded plain = timed(seconds.plain, [&] { return decoder.greedy(prompt, o_.tokens); });
      const Decoded early =
          timed(seconds.early, [&] { return decoder.early_exit(prompt, o_.tokens, o_.threshold); });
      const Decoded quick = timed(seconds.speculative, [&] {
        return decoder.speculative(prompt, o_.tokens, o_.gamma, static_cast<size_t>(o_.gate), 0,
                                   context.random.split(static_cast<uint64_t>(i)));
      });
      for (size_t t = 0; t < plain.tokens.size(); ++t)
        agreed += plain.tokens[t] == early.tokens[t] ? 1 : 0;
      for (const int64_t count : early.exits) exited += static_cast<double>(count);
      kept += static_cast<double>(quick.kept);
      passes += static_cast<double>(quick.passes);
      lossless += quick.tokens == plain.tokens ? 1 : 0;
    }
    const auto prompts = static_cast<double>(o_.prompts);
    const double tokens = prompts * static_cast<double>(o_.tokens);
    return {.metrics = {{"plain.tokens_per_second", tokens / seconds.plain},
                        {"early.tokens_per_second", tokens / seconds.early},
                        {"early.agreement", agreed / tokens},
                        {"early.part", exited / tokens},
                        {"speculative.tokens_per_second", tokens / seconds.speculative},
                        {"kept_per_pass", kept / passes},
                        {"tokens_per_pass", tokens / passes},
                        {"lossless", lossless / prompts}}};
  }

 private:
  MultirateDecodeOptions o_;
};

// Slow and fast states behind every block, [T, d] over all windows of text.
struct BlockStates {
  std::vector<at::Tensor> slow, fast;  // fast: undefined where there is no fast stream
};

BlockStates block_states(Gpt& gpt, const at::Tensor& ids) {
  const at::NoGradGuard no_grad;
  const auto& connection = dynamic_cast<MultirateConnection&>(gpt.connection());
  const auto depth = static_cast<size_t>(gpt.options().depth);
  BlockStates states{.slow = std::vector<at::Tensor>(depth),
                     .fast = std::vector<at::Tensor>(depth)};
  gpt.visit_sites([&](const Site& site, const State& state) {
    const auto block = static_cast<size_t>(site.block);
    const int64_t passed = site.block + 1;
    states.slow[block] = state.x().flatten(0, 1);
    if (passed > connection.gates().back() || state.streams.size() < 2) return;
    const bool at_gate = std::ranges::count(connection.gates(), passed) > 0 && site.sublayer == 1;
    states.fast[block] =
        (at_gate ? connection.exit_state(state, passed) : state.streams[1]).flatten(0, 1);
  });
  gpt.forward(ids);
  gpt.visit_sites({});
  return states;
}

// [T, k] of [T, d].
at::Tensor chosen_experts(const at::Tensor& states, const at::Tensor& router, int64_t top_k) {
  const at::Tensor logits = at::linear(at::layer_norm(states, {states.size(1)}), router);
  return std::get<1>(logits.topk(top_k, -1)).contiguous();
}

class ExpertPrefetchProbe final : public Probe {
 public:
  explicit ExpertPrefetchProbe(const ExpertPrefetchOptions& options) : o_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    const ProbedModel probed = open_probed(context, "expert-prefetch");
    Gpt& gpt = multirate_gpt_of(probed, "expert-prefetch");
    const GptOptions& g = gpt.options();
    const int64_t windows = (o_.tokens + g.ctx - 1) / g.ctx;
    const at::Tensor ids =
        at::tensor(test_text(probed, windows * g.ctx), at::kLong).view({windows, g.ctx});
    const BlockStates states = block_states(gpt, ids);
    std::vector<at::Tensor> routers;
    for (int64_t b = 0; b < g.depth; ++b) {
      routers.push_back(torch::empty({o_.experts, g.dim}));
      fill_normal(routers.back(), 1, context.random.split(static_cast<uint64_t>(b)));
    }
    ProbeResult result;
    const std::vector<at::Tensor> nobody(states.slow.size());
    std::vector<at::Tensor> slow = states.slow;  // guesses where the fast stream does
    for (size_t b = 0; b < slow.size(); ++b)
      if (!states.fast[b].defined()) slow[b] = at::Tensor();
    const std::vector<std::pair<std::string, std::vector<at::Tensor>>> guessers{
        {"fast", states.fast}, {"slow", slow}, {"none", nobody}};
    for (const auto& [name, guesses] : guessers) {
      const ExpertLoads loads =
          simulate_experts(expert_steps(states.slow, guesses, routers, o_.top_k, o_.ahead),
                           {.capacity = o_.capacity, .load_time = o_.load_time, .ahead = o_.ahead});
      result.metrics.emplace_back(fmt::format("{}_hit_rate", name), loads.hit_rate());
      result.metrics.emplace_back(fmt::format("{}_time", name),
                                  loads.time / static_cast<double>(ids.numel()));
    }
    return result;
  }

 private:
  ExpertPrefetchOptions o_;
};

}  // namespace

void MultirateDecodeOptions::fields(Fields& f) {
  f.add("prompts", prompts, "from the test text", {.min = 1});
  f.add("prompt_length", prompt_length, "tokens of each", {.min = 1});
  f.add("tokens", tokens, "written to each prompt", {.min = 1});
  f.add("gamma", gamma, "tokens drafted before each check", {.min = 1});
  f.add("gate", gate, "number of the gate whose predictions are the draft", {.min = 0});
  f.add("threshold", threshold, "confidence above which a token leaves early",
        {.min = 0, .max = 1});
}

void ExpertPrefetchOptions::fields(Fields& f) {
  f.add("tokens", tokens, "of the test text", {.min = 1});
  f.add("experts", experts, "of each block", {.min = 1});
  f.add("top_k", top_k, "experts that a token needs in each block", {.min = 1});
  f.add("ahead", ahead, "blocks between a guess and the need", {.min = 1});
  f.add("capacity", capacity, "experts in fast memory", {.min = 1});
  f.add("load_time", load_time, "of an expert, in times of a block's computation", {.min = 0});
}

std::vector<ExpertStep> expert_steps(const std::vector<at::Tensor>& states,
                                     const std::vector<at::Tensor>& guesses,
                                     const std::vector<at::Tensor>& routers, int64_t top_k,
                                     int64_t ahead) {
  const auto blocks = static_cast<int64_t>(states.size());
  const int64_t tokens = states.front().size(0), experts = routers.front().size(0);
  std::vector<at::Tensor> needed, predicted(states.size());
  for (int64_t b = 0; b < blocks; ++b) {
    const auto i = static_cast<size_t>(b);
    needed.push_back(chosen_experts(states[i], routers[i], top_k));
    if (b < ahead) continue;
    const at::Tensor& guess = guesses[static_cast<size_t>(b - ahead)];
    if (guess.defined()) predicted[i] = chosen_experts(guess, routers[i], top_k);
  }
  std::vector<ExpertStep> steps;
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t b = 0; b < blocks; ++b) {
      const auto numbers = [&](const at::Tensor& chosen) {
        std::vector<int64_t> list;
        if (!chosen.defined()) return list;
        const int64_t* const row = chosen.data_ptr<int64_t>() + t * top_k;
        for (int64_t i = 0; i < top_k; ++i) list.push_back(b * experts + row[i]);
        return list;
      };
      const auto i = static_cast<size_t>(b);
      steps.push_back({numbers(predicted[i]), numbers(needed[i])});
    }
  return steps;
}

void add_multirate_probes(Registry<Probe>& probes) {
  probes.add<MultirateDecodeOptions>(
      {"multirate-decode", "decoding with a fast stream: early exits and drafts", "m2r2"}, {},
      [](const MultirateDecodeOptions& o) { return std::make_shared<MultirateDecodeProbe>(o); });
  probes.add<ExpertPrefetchOptions>(
      {"expert-prefetch", "guessing the experts of deeper layers with a fast stream", "m2r2"}, {},
      [](const ExpertPrefetchOptions& o) { return std::make_shared<ExpertPrefetchProbe>(o); });
}

}  // namespace residua
