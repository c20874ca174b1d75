#include "residua/connections/ladder.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>

#include "residua/core/error.h"

namespace residua {

namespace {

const std::string kPending = "ladder.pending";

struct LadderOptions {
  int64_t last = 0;
  std::vector<int64_t> blocks = {};
  void fields(Fields& f) {
    f.add("last", last, "only the last so many blocks read the stale stream; 0: all", {.min = 0});
    f.add("blocks", blocks, "only these blocks, counted from 0; empty: as `last` says", {.min = 0});
  }
};

class LadderConnection final : public Connection {
 public:
  LadderConnection(const LadderOptions& options, const Carrier& carrier)
      : post_activation_(carrier.post_activation) {
    int64_t blocks = 0;
    for (const Site& site : carrier.sites) blocks = std::max(blocks, site.block + 1);
    for (const int64_t block : options.blocks) check("blocks", block, blocks - 1);
    check("last", options.last, blocks);
    if (options.last > 0 && !options.blocks.empty())
      throw Error(ErrorKind::invalid_argument,
                  {.where = "connection", .rule = "takes `last` or `blocks`, not both"});
    const int64_t first = options.last == 0 ? 0 : blocks - options.last;
    for (const Site& site : carrier.sites) {
      const bool named = options.blocks.empty()
                             ? site.block >= first
                             : std::ranges::count(options.blocks, site.block) > 0;
      stale_.push_back(named && !site.has_shortcut());
    }
  }

  bool takes_late_outputs() const override { return true; }

  StreamDiagram describe() const override {
    return {.streams = {"x", "pending"},
            .begin = "x = x0, pending = 0",
            .merge = "x <- x + pending, pending <- f(x)",
            .finish = "x + pending"};
  }

  Read read(State& state, const Site& site) override {
    if (!stale(site)) add_pending(state);
    return {.input = state.x()};
  }

  void merge(State& state, const Site& site, const at::Tensor& y, const Read&) override {
    if (stale(site)) {
      add_pending(state);
      state.memo[kPending] = y;
      if (auto arrival = state.arrivals.extract(State::kBranch)) {
        arrival.key() = kPending;
        state.arrivals.insert(std::move(arrival));
      }
    } else {
      state.wait(State::kBranch);
      state.x() = state.x() + y;
    }
  }

  at::Tensor finish(const State& state) override {
    State rest = state;
    add_pending(rest);
    return post_activation_ ? rest.x().relu() : rest.x();
  }

 private:
  static void check(const std::string& option, int64_t value, int64_t most) {
    if (value <= most) return;
    throw Error(ErrorKind::invalid_argument, {.where = "connection." + option,
                                              .rule = "names more blocks than the network has",
                                              .expected = fmt::format("at most {}", most),
                                              .received = std::to_string(value)});
  }

  bool stale(const Site& site) const { return stale_[static_cast<size_t>(site.branch)]; }

  static void add_pending(State& state) {
    const auto pending = state.memo.find(kPending);
    if (pending == state.memo.end()) return;
    state.wait(kPending);
    state.x() = state.x() + pending->second;
    state.memo.erase(pending);
  }

  std::vector<bool> stale_;  // by branch
  bool post_activation_;
};

struct DesyncOptions {
  int64_t period = 2;
  void fields(Fields& f) {
    f.add("period", period, "branches for each sum over the ranks", {.min = 1});
  }
};

class DesyncConnection final : public Connection {
 public:
  DesyncConnection(const DesyncOptions& options, const Carrier& carrier)
      : period_(options.period), collective_(carrier.collective) {}

  StreamDiagram describe() const override {
    return {.merge = fmt::format("x + f(x), summed over ranks after every {} branches", period_)};
  }

  bool sums_ranks() const override { return true; }

  void merge(State& state, const Site& site, const at::Tensor& y, const Read&) override {
    const bool last = site.step + 1 == site.depth;
    if (collective_ == nullptr || (!last && (site.step + 1) % period_ != 0)) {
      state.x() = state.x() + y;
      return;
    }
    state.x() = at::add(y, state.x(), 1 / static_cast<double>(collective_->world())).contiguous();
    collective_->sum(state.x());
  }

 private:
  int64_t period_;
  Collective* collective_;
};

}  // namespace

void add_ladder_connections(Registry<Connection, Carrier, Random>& connections) {
  connections.add<LadderOptions>(
      {"ladder", "each branch reads the stream without its predecessor's output",
       "ladder-residual"},
      {}, [](const LadderOptions& o, const Carrier& carrier, const Random&) {
        return std::make_shared<LadderConnection>(o, carrier);
      });
  connections.add<DesyncOptions>(
      {"desync", "ranks sum their branches' outputs only now and then", "ladder-residual"}, {},
      [](const DesyncOptions& o, const Carrier& carrier, const Random&) {
        return std::make_shared<DesyncConnection>(o, carrier);
      });
}

}  // namespace residua
