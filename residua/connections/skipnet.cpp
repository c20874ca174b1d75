#include "residua/connections/skipnet.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/connections/feature.h"
#include "residua/core/error.h"

namespace residua {

void SkipNetOptions::fields(Fields& f) {
  f.add("gate", gate, "kind of gate; ff1 and ff2 are for maps");
  f.add("features", features, "numbers that the LSTM of rnn reads of the stream", {.min = 1});
  f.add("hidden", hidden, "units of that LSTM", {.min = 1});
  f.add("training", training, "sp: straight-through, soft: continuous, rl: REINFORCE");
  f.add("alpha", alpha, "rl: reward for leaving out all branches, against the loss", {.min = 0});
  f.add("rl_weight", rl_weight, "rl: factor of the gradient of the gates", {.min = 0});
  f.add("baseline", baseline, "rl: subtract the batch's mean from the cost of a decision");
  f.add("rows", rows, "in evaluation, execute a branch for the samples that need it only");
  f.add("last_gate", last_gate,
        "a gate after the last branch too, which decides nothing: files of the reference have it");
}

namespace {

constexpr const char* kSkipGate = "skipnet.gate";  // of the next site
constexpr const char* kSkipHidden = "skipnet.hidden";
constexpr const char* kSkipCell = "skipnet.cell";
constexpr std::string_view kSkipDecision = "skipnet.decision.";
constexpr std::string_view kSkipLogOdds = "skipnet.log_odds.";

// libtorch's index_select loses the channels-last layout of images, and what follows is slow
// without.
at::Tensor select_samples(const at::Tensor& x, const at::Tensor& rows) {
  if (x.dim() != 4 || !x.is_contiguous(at::MemoryFormat::ChannelsLast))
    return x.index_select(0, rows);
  return x.permute({0, 2, 3, 1}).index_select(0, rows).permute({0, 3, 1, 2});
}

at::Tensor replace_samples(const at::Tensor& x, const at::Tensor& rows, const at::Tensor& y) {
  if (x.dim() != 4 || !x.is_contiguous(at::MemoryFormat::ChannelsLast))
    return x.index_copy(0, rows, y);
  const std::vector<int64_t> inwards = {0, 2, 3, 1};
  return x.permute(inwards).index_copy(0, rows, y.permute(inwards)).permute({0, 3, 1, 2});
}

std::string skipnet_memo(std::string_view prefix, int64_t step) {
  return fmt::format("{}{:06}", prefix, step);  // so that order by name is order in time
}

std::vector<at::Tensor> skipnet_memos(const State& state, std::string_view prefix) {
  std::vector<at::Tensor> found;
  for (auto at = state.memo.lower_bound(std::string(prefix));
       at != state.memo.end() && at->first.starts_with(prefix); ++at)
    found.push_back(at->second);
  return found;
}

const at::Tensor* skipnet_gate(const State& state) {
  const auto found = state.memo.find(kSkipGate);
  return found == state.memo.end() ? nullptr : &found->second;
}

}  // namespace

SkipNet::SkipNet(const SkipNetOptions& options, const Carrier& carrier, const Random& random)
    : options_(options), carrier_(carrier) {
  const bool convolves = options.gate == GateKind::ff1 || options.gate == GateKind::ff2;
  if (convolves && carrier.kind != CarrierKind::cnn)
    refuse("skipnet", carrier, "the gates ff1 and ff2 convolve maps; gate=rnn and linear do not");
  const size_t count = carrier.sites.size() - (options.last_gate ? 0 : 1);
  for (size_t i = 0; i < count; ++i)
    gates_.push_back(register_module(
        std::to_string(i), make_gate(options.gate, carrier.kind, carrier.sites[i].c_out,
                                     options.features, random.split(static_cast<uint64_t>(i)))));
  if (options.gate == GateKind::rnn && count > 0)
    control_ = register_module(
        "control",
        std::make_shared<GateControl>(options.features, options.hidden, random.split("control")));
}

// On a GPT each token has its gate. An MLP takes tokens one by one, so that its rows are the tokens
// [R, 1, C]; an attention always runs for all tokens, since later ones attend to those that are
// passed over too.
Read SkipNet::read(State& state, const Site& site) {
  const at::Tensor* gate = skipnet_gate(state);
  Read read{.input = state.x()};
  if (!gate || is_training() || !options_.rows) return read;
  const bool tokens = gate->dim() == 2;
  if (tokens && site.kind == SiteKind::attention) return read;
  const at::Tensor rows = gate->flatten().nonzero().flatten();
  if (rows.size(0) == 0) {
    read.run = false;
  } else if (rows.size(0) < gate->numel()) {
    read.rows = rows;
    read.input = tokens ? state.x().flatten(0, 1).index_select(0, rows).unsqueeze(1)
                        : select_samples(state.x(), rows);
  }
  return read;
}

void SkipNet::merge(State& state, const Site& site, const at::Tensor& y, const Read& read) {
  const at::Tensor* gate = skipnet_gate(state);
  const auto block = [&](const at::Tensor& shortcut, const at::Tensor& branch) {
    const at::Tensor sum = shortcut + branch;
    return carrier_.post_activation ? sum.relu_() : sum;
  };
  const at::Tensor s = state.x();
  if (read.rows.defined() && gate->dim() == 2) {
    const at::Tensor flat = s.flatten(0, 1);
    const at::Tensor changed = block(flat.index_select(0, read.rows), y.squeeze(1));
    state.x() = flat.index_copy(0, read.rows, changed).view_as(s);
  } else if (read.rows.defined()) {
    // Where a stage begins s is the shortcut's output, not what the branch read.
    const at::Tensor from = site.has_shortcut() ? select_samples(s, read.rows) : read.input;
    state.x() = replace_samples(s, read.rows, block(from, y));
  } else if (read.run) {
    const at::Tensor full = block(s, y);
    const at::Tensor g = gate ? over_channels(*gate, full) : at::Tensor();
    state.x() = gate ? g * full + (1 - g) * s : full;
  }
  run_gate(state, site);
}

void SkipNet::run_gate(State& state, const Site& site) {
  const auto branch = static_cast<size_t>(site.branch);
  if (branch >= gates_.size()) return;
  at::Tensor z = gates_[branch]->forward(state.x());
  if (control_) z = control_->forward(z, state.memo[kSkipHidden], state.memo[kSkipCell]);
  const bool last = branch + 1 == carrier_.sites.size();
  const at::Tensor g = decide(last ? site : carrier_.sites[branch + 1], z);
  state.memo[kSkipGate] = g;
  state.memo[skipnet_memo(kSkipDecision, site.step)] = g;
  state.memo[skipnet_memo(kSkipLogOdds, site.step)] = z;
}

at::Tensor SkipNet::decide(const Site& next, const at::Tensor& z) const {
  if (decide_) return decide_(next, z);
  const at::Tensor hard = z.detach().gt(0).to(z.scalar_type());
  if (!is_training()) return hard;
  switch (options_.training) {
    case GateTraining::sp: {
      const at::Tensor p = z.sigmoid();
      return hard + (p - p.detach());  // exactly `hard`, with the gradient of p
    }
    case GateTraining::soft: return z.sigmoid();
    case GateTraining::rl: break;
  }
  return at::bernoulli(z.detach().sigmoid());
}

at::Tensor SkipNet::penalty(const State& state, const at::Tensor& sample_losses) {
  if (options_.training != GateTraining::rl || !is_training()) return {};
  std::vector<at::Tensor> g = decisions(state), z = log_odds(state);
  if (options_.last_gate) {
    g.pop_back();
    z.pop_back();
  }
  if (g.empty()) return {};
  const double reward = options_.alpha / static_cast<double>(g.size());
  at::Tensor sum, saved = at::zeros_like(g.front());
  for (size_t i = g.size(); i-- > 0;) {
    saved = saved + (1 - g[i]);
    at::Tensor cost = over_channels(sample_losses.detach(), saved) - reward * saved;
    if (options_.baseline) cost = cost - cost.mean(0, true);
    const at::Tensor log_p = at::log_sigmoid(z[i] * (2 * g[i] - 1));
    // Decisions of one sample add up, samples are averaged.
    const at::Tensor mean = (log_p * cost).sum() / static_cast<double>(g[i].size(0));
    sum = sum.defined() ? sum + mean : mean;
  }
  return options_.rl_weight * sum;
}

NamedValues SkipNet::metrics(const State& state) {
  double sum = 0;
  std::vector<at::Tensor> g = decisions(state);
  if (options_.last_gate && !g.empty()) g.pop_back();
  if (g.empty()) return {};
  for (const at::Tensor& gate : g)
    sum += gate.detach().gt(0.5).to(at::kDouble).mean().item<double>();
  return {{"executed", sum / static_cast<double>(g.size())}};
}

std::vector<at::Tensor> SkipNet::decisions(const State& state) {
  return skipnet_memos(state, kSkipDecision);
}
std::vector<at::Tensor> SkipNet::log_odds(const State& state) {
  return skipnet_memos(state, kSkipLogOdds);
}

void add_skipnet_connections(Registry<Connection, Carrier, Random>& connections) {
  connections.add<SkipNetOptions>(
      {"skipnet", "gates decide for each sample which branches are executed", "skipnet"}, {},
      [](const SkipNetOptions& o, const Carrier& carrier, const Random& random) {
        return std::make_shared<SkipNet>(o, carrier, random);
      });
}

}  // namespace residua
