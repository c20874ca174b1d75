#include "residua/connections/multirate.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "residua/core/error.h"

namespace residua {

namespace {

std::string slow_name(int64_t blocks) { return fmt::format("multirate.slow.{}", blocks); }
std::string exit_name(int64_t blocks) { return fmt::format("multirate.exit.{}", blocks); }
std::string logit_name(int64_t blocks) { return fmt::format("multirate.logit.{}", blocks); }
std::string recent_name(int64_t place) { return fmt::format("multirate.recent.{}", place); }

at::Tensor normalised(const at::Tensor& x) { return at::layer_norm(x, {x.size(-1)}); }

// Of the tokens' predictions, the part that agrees.
at::Tensor same_prediction(const at::Tensor& a, const at::Tensor& b) {
  return a.argmax(-1).eq(b.argmax(-1)).to(a.scalar_type());
}

void check_gates(const std::vector<int64_t>& gates, int64_t blocks) {
  int64_t before = 0;
  for (const int64_t gate : gates) {
    if (gate <= before || gate >= blocks)
      throw Error(ErrorKind::invalid_argument,
                  {.where = "connection.gates",
                   .rule = "must rise and stand between the blocks",
                   .expected = fmt::format("numbers from 1 to {}", blocks - 1),
                   .received = std::to_string(gate)});
    before = gate;
  }
}

// Three where there are blocks enough, as far from one another as from both ends.
std::vector<int64_t> usual_gates(int64_t blocks) {
  std::vector<int64_t> gates;
  const int64_t distance = std::max<int64_t>(1, blocks / 4);
  for (int64_t gate = distance; gate < blocks && gates.size() < 3; gate += distance)
    gates.push_back(gate);
  return gates;
}

}  // namespace

void MultirateOptions::fields(Fields& f) {
  f.add("gates", gates, "numbers of blocks before each gate; empty: three, evenly", {.min = 1});
  f.add("rank", rank, "of an adapter, one for each branch before the last gate", {.min = 1});
  f.add("rate", rate, "depth of the slow state that a gate's state is to equal, over the gate's",
        {.min = 1});
  f.add("fast", fast, "a fast stream; false: at each gate an adapter on the slow one");
  f.add("mu", mu, "weight of the angle between both states", {.min = 0});
  f.add("latent", latent, "width of the routers that decide on leaving", {.min = 1});
  f.add("window", window, "last states of the fast stream that a router looks at", {.min = 1});
}

Accelerator::Accelerator(int64_t width, int64_t rank, const Random& random)
    : torch::nn::Module("Accelerator") {
  down = register_module("down", linear(width, rank, {.bias = false}, random.split("down")));
  up = register_module("up", linear(rank, width, {.bias = false}, random.split("up")));
  up->weight.detach().zero_();
}

at::Tensor Accelerator::forward(const at::Tensor& x) const {
  return up->forward(down->forward(normalised(x)));
}

ExitRouter::ExitRouter(int64_t width, int64_t latent, const Random& random)
    : torch::nn::Module("ExitRouter") {
  const auto layer = [&](const char* name, int64_t in, int64_t out, bool bias) {
    return register_module(name, linear(in, out, {.bias = bias}, random.split(name)));
  };
  down_ = layer("down", width, latent, false);
  query_ = layer("query", latent, latent, false);
  key_ = layer("key", latent, latent, false);
  value_ = layer("value", latent, latent, false);
  fc1_ = layer("fc1", 2 * latent, latent, true);
  fc2_ = layer("fc2", latent, 1, true);
}

at::Tensor ExitRouter::forward(const std::vector<at::Tensor>& states) const {
  std::vector<at::Tensor> latents;
  for (const at::Tensor& state : states) latents.push_back(down_->forward(normalised(state)));
  const at::Tensor all = at::stack(latents, -2), newest = latents.back();  // [..., w, L], [..., L]
  const double scale = 1 / std::sqrt(static_cast<double>(newest.size(-1)));
  const at::Tensor scores = (key_->forward(all) * query_->forward(newest).unsqueeze(-2)).sum(-1);
  const at::Tensor got =
      ((scores * scale).softmax(-1).unsqueeze(-1) * value_->forward(all)).sum(-2);
  return fc2_->forward(at::gelu(fc1_->forward(at::cat({newest, got}, -1)))).squeeze(-1);
}

MultirateConnection::MultirateConnection(const MultirateOptions& options, const Carrier& carrier,
                                         const Random& random)
    : options_(options), last_of_block_(carrier.sites.size()), accelerators_(carrier.sites.size()) {
  if (carrier.kind != CarrierKind::gpt)
    refuse("multirate", carrier, "its gates predict tokens, and it needs the keys of an attention");
  for (const Site& site : carrier.sites) blocks_ = std::max(blocks_, site.block + 1);
  if (blocks_ < 2)
    refuse("multirate", carrier, "a gate stands between blocks, of which it has one");
  if (options_.gates.empty()) options_.gates = usual_gates(blocks_);
  check_gates(options_.gates, blocks_);
  for (size_t i = 0; i < carrier.sites.size(); ++i)
    last_of_block_[i] =
        i + 1 == carrier.sites.size() || carrier.sites[i + 1].block != carrier.sites[i].block;

  const auto list = register_module("accel", std::make_shared<torch::nn::Module>("Accelerators"));
  int64_t in_interval = 0;
  for (const Site& site : carrier.sites) {
    if (site.block >= options_.gates.back()) break;
    const auto branch = static_cast<size_t>(site.branch);
    ++in_interval;
    const bool at_gate =
        last_of_block_[branch] && std::ranges::count(options_.gates, site.block + 1) > 0;
    if (!options_.fast && !at_gate) continue;
    const std::string name = std::to_string(site.branch);
    accelerators_[branch] = list->register_module(
        name, std::make_shared<Accelerator>(carrier.width(),
                                            options_.rank * (options_.fast ? 1 : in_interval),
                                            random.split("accel").split(name)));
    if (at_gate) in_interval = 0;
  }
  const auto gates = register_module("gate", std::make_shared<torch::nn::Module>("Gates"));
  for (size_t j = 0; j < options_.gates.size(); ++j) {
    const std::string name = std::to_string(j);
    routers_.push_back(gates->register_module(
        name, std::make_shared<ExitRouter>(carrier.width(), options_.latent,
                                           random.split("gate").split(name))));
  }
}

bool MultirateConnection::accelerates(const Site& site) const {
  return options_.fast && run_fast_ && site.block < options_.gates.back();
}

int64_t MultirateConnection::target_of(int64_t gate) const {
  return std::min(blocks_,
                  static_cast<int64_t>(std::lround(options_.rate * static_cast<double>(gate))));
}

State MultirateConnection::begin(const at::Tensor& x0) {
  State state{.streams = {x0}};
  if (options_.fast && run_fast_) state.streams.push_back(x0.detach());
  return state;
}

Read MultirateConnection::read(State& state, const Site& site) {
  if (!accelerates(site)) return {.input = state.x()};
  return {.input = at::cat({state.streams[0], state.streams[1]})};
}

at::Tensor MultirateConnection::keys(State&, const Site& site, const at::Tensor& k) {
  return accelerates(site) ? k.narrow(0, 0, k.size(0) / 2) : k;
}

at::Tensor MultirateConnection::values(State&, const Site& site, const at::Tensor& v) {
  return accelerates(site) ? v.narrow(0, 0, v.size(0) / 2) : v;
}

void MultirateConnection::merge(State& state, const Site& site, const at::Tensor& y, const Read&) {
  const auto branch = static_cast<size_t>(site.branch);
  if (accelerates(site)) {
    const auto halves = y.chunk(2);
    at::Tensor& p = state.streams[1];
    p = p + halves[1] + accelerators_[branch]->forward(p);
    state.x() = state.x() + halves[0];
    remember(state);
  } else {
    state.x() = state.x() + y;
  }
  if (last_of_block_[branch] && run_fast_) pass_gate(state, site);
}

// Keeps the last `window` states of p.
void MultirateConnection::remember(State& state) const {
  for (int64_t i = options_.window - 1; i > 0; --i)
    if (const auto newer = state.memo.find(recent_name(i - 1)); newer != state.memo.end())
      state.memo[recent_name(i)] = newer->second;
  state.memo[recent_name(0)] = state.streams[1];
}

std::vector<at::Tensor> MultirateConnection::recent(const State& state) const {
  std::vector<at::Tensor> oldest_first;
  for (int64_t i = options_.window - 1; i >= 0; --i)
    if (const auto found = state.memo.find(recent_name(i)); found != state.memo.end())
      oldest_first.push_back(found->second);
  return oldest_first;
}

void MultirateConnection::pass_gate(State& state, const Site& site) {
  const int64_t passed = site.block + 1;
  if (passed == blocks_ || std::ranges::any_of(options_.gates, [&](int64_t gate) {
        return gate == passed || target_of(gate) == passed;
      }))
    state.memo[slow_name(passed)] = state.x();
  const auto gate = std::ranges::find(options_.gates, passed);
  if (gate == options_.gates.end()) return;
  std::vector<at::Tensor> states;
  if (options_.fast) {
    states = recent(state);
  } else {
    const at::Tensor h = state.x().detach();
    states = {h + accelerators_[static_cast<size_t>(site.branch)]->forward(h)};
  }
  const auto j = static_cast<size_t>(gate - options_.gates.begin());
  state.memo[exit_name(passed)] = states.back();
  state.memo[logit_name(passed)] = routers_[j]->forward(states);
  for (int64_t i = 0; i < options_.window; ++i) state.memo.erase(recent_name(i));
  if (options_.fast) state.streams[1] = state.x().detach();
}

at::Tensor MultirateConnection::exit_state(const State& state, int64_t gate) const {
  return state.memo.at(exit_name(gate));
}

at::Tensor MultirateConnection::exit_logit(const State& state, int64_t gate) const {
  return state.memo.at(logit_name(gate));
}

at::Tensor MultirateConnection::penalty(const State& state, const at::Tensor&) {
  if (!run_fast_) return {};
  at::Tensor sum;
  const at::Tensor last = readout(state.x().detach()).detach();
  for (const int64_t gate : options_.gates) {
    const at::Tensor p = exit_state(state, gate),
                     h = state.memo.at(slow_name(target_of(gate))).detach();
    const at::Tensor predicted = readout(p), wanted = readout(h).detach();
    const int64_t classes = predicted.size(-1);
    const at::Tensor imitation =
        at::cross_entropy_loss(predicted.reshape({-1, classes}), wanted.argmax(-1).reshape({-1}));
    const at::Tensor angle = 1 - at::cosine_similarity(p, h, -1).mean();
    const at::Tensor sure = at::binary_cross_entropy_with_logits(
        exit_logit(state, gate), same_prediction(predicted.detach(), last));
    const at::Tensor loss = imitation + options_.mu * angle + sure;
    sum = sum.defined() ? sum + loss : loss;
  }
  return sum;
}

NamedValues MultirateConnection::metrics(const State& state) {
  NamedValues values;
  if (!run_fast_) return values;
  const at::NoGradGuard no_grad;
  const at::Tensor last = readout(state.x());
  for (const int64_t gate : options_.gates) {
    const at::Tensor p = exit_state(state, gate);
    const at::Tensor h = state.memo.at(slow_name(target_of(gate)));
    values.emplace_back(fmt::format("agree_{}", gate),
                        same_prediction(readout(p), last).mean().item<double>());
    values.emplace_back(fmt::format("cosine_{}", gate),
                        at::cosine_similarity(p, h, -1).mean().item<double>());
    values.emplace_back(fmt::format("confidence_{}", gate),
                        exit_logit(state, gate).sigmoid().mean().item<double>());
  }
  return values;
}

StreamDiagram MultirateConnection::describe() const {
  if (!options_.fast) return {.merge = "h + f(h), gates see h + A(h)", .finish = "h"};
  return {.streams = {"h", "p"},
          .begin = "h = p = x0",
          .read = "h and p",
          .merge = "h + f(h), p + f(p) + A(p); behind a gate p = h",
          .finish = "h, or p at a gate"};
}

void add_multirate_connections(Registry<Connection, Carrier, Random>& connections) {
  connections.add<MultirateOptions>(
      {"multirate", "a fast stream of adapters beside the frozen one, and gates to leave by",
       "m2r2"},
      {}, [](const MultirateOptions& o, const Carrier& carrier, const Random& random) {
        return std::make_shared<MultirateConnection>(o, carrier, random);
      });
}

}  // namespace residua
