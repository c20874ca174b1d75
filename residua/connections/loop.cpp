#include "residua/connections/loop.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <array>

#include "residua/core/error.h"

namespace residua {

namespace {

enum class LoopOutput { stack, delta };
enum class LoopScale { none, learned, mean };
enum class LoopSwitch { automatic, on, off };

struct LoopConnectionOptions {
  int64_t loops = 2;
  int64_t eval_loops = 0;
  int64_t first = 0, last = 0;
  LoopOutput output = LoopOutput::stack;
  LoopScale scale = LoopScale::none;
  bool loop_embedding = false;
  bool input_injection = false;
  int64_t backprop_loops = 0;
  double tolerance = 0;
  double supervision = 0;
  LoopSwitch post_loop_norm = LoopSwitch::automatic;
  void fields(Fields& f);
};

}  // namespace

template <>
struct EnumNames<LoopOutput> {
  static constexpr std::array names{"stack", "delta"};
};
template <>
struct EnumNames<LoopScale> {
  static constexpr std::array names{"none", "learned", "mean"};
};
template <>
struct EnumNames<LoopSwitch> {
  static constexpr std::array names{"auto", "on", "off"};
};

namespace {

constexpr double kPostLoopEps = 1e-5;
constexpr char kLoopStart[] = "loop.start", kLoopInput[] = "loop.input",
               kLoopMoving[] = "loop.moving", kLoopCount[] = "loop.count",
               kLoopExit[] = "loop.exit.";

void LoopConnectionOptions::fields(Fields& f) {
  f.add("loops", loops, "times that the blocks run", {.min = 1, .max = 1000});
  f.add("eval_loops", eval_loops, "the same at evaluation; 0: as many", {.min = 0, .max = 1000});
  f.add("first", first, "first looped block, from 0", {.min = 0});
  f.add("last", last, "the block after the last looped one; 0: to the end", {.min = 0});
  f.add("output", output, "stack adds the blocks' output to the stream, delta what they changed");
  f.add("scale", scale,
        "of what a loop adds: none, learned for each loop (1 at first), or 1/loops");
  f.add("loop_embedding", loop_embedding,
        "a learned vector (0 at first) is added before each loop");
  f.add("input_injection", input_injection,
        "the stream before the first loop is added before each later one");
  f.add("backprop_loops", backprop_loops, "only the last so many loops learn; 0: all", {.min = 0});
  f.add("tolerance", tolerance,
        "relative change below which a token stops looping at evaluation; 0: never", {.min = 0});
  f.add("supervision", supervision, "weight of the loss read out after each earlier loop",
        {.min = 0});
  f.add("post_loop_norm", post_loop_norm,
        "divides the stream by its root mean square after each loop; auto: for more than two loops "
        "of output stack");
}

class LoopConnection final : public Connection {
 public:
  LoopConnection(const LoopConnectionOptions& options, const Carrier& carrier)
      : options_(options), carrier_kind_(carrier.kind) {
    if (options_.eval_loops == 0) options_.eval_loops = options_.loops;
    if (options_.last == 0) options_.last = carrier.sites.back().block + 1;
    find_sites(carrier);
    const int64_t width = carrier.sites[static_cast<size_t>(first_site_)].c_in;
    if (options_.scale == LoopScale::learned)
      scale_ = register_parameter("scale", torch::ones({options_.loops}));
    if (options_.loop_embedding)
      embedding_ = register_parameter("embedding", torch::zeros({options_.loops, width}));
  }

  std::vector<Site> schedule(const std::vector<Site>& sites) const override {
    std::vector<Site> all(sites.begin(), sites.begin() + first_site_);
    for (int64_t n = 0; n < std::max(options_.loops, options_.eval_loops); ++n)
      all.insert(all.end(), sites.begin() + first_site_, sites.begin() + last_site_);
    all.insert(all.end(), sites.begin() + last_site_, sites.end());
    return all;
  }

  Read read(State& state, const Site& site) override {
    const Place place = place_of(site);
    if (!place.in_loop) return {.input = state.x()};
    if (place.loop >= active_loops() || stopped(state)) return {.input = {}, .run = false};
    if (place.begins) begin_loop(state, place.loop);
    return {.input = state.x()};
  }

  void merge(State& state, const Site& site, const at::Tensor& y, const Read& read) override {
    if (!read.run) return;
    state.x() = state.x() + y;
    const Place place = place_of(site);
    if (place.in_loop && place.ends) end_loop(state, place.loop);
  }

  bool decodes() const override { return options_.tolerance == 0; }
  bool has_extras() const override { return options_.tolerance > 0 || options_.supervision > 0; }

  NamedValues metrics(const State& state) override {
    if (!state.memo.contains(kLoopCount)) return {};
    return {{"loops", state.memo.at(kLoopCount).to(at::kDouble).mean().item<double>()}};
  }

  std::vector<StreamExit> exits(const State& state) const override {
    std::vector<StreamExit> all;
    for (const auto& [name, stream] : state.memo)
      if (name.starts_with(kLoopExit)) all.push_back({readout(stream), options_.supervision});
    return all;
  }

  StreamDiagram describe() const override {
    const std::string last = options_.output == LoopOutput::stack ? "x + h" : "h";
    return {.streams = {"x", "h"},
            .read = "h",
            .merge = fmt::format("h + f(h); after each of {} loops: x = {}, h = x", options_.loops,
                                 last)};
  }

 private:
  struct Place {
    bool in_loop = false, begins = false, ends = false;
    int64_t loop = 0;
  };

  // Sites [first_site_, last_site_) are the looped blocks.
  void find_sites(const Carrier& carrier) {
    const int64_t blocks = carrier.sites.back().block + 1;
    if (options_.first >= options_.last || options_.last > blocks)
      throw Error(ErrorKind::invalid_argument,
                  {.where = "connection.last",
                   .rule = "the looped blocks are none of the network's",
                   .expected = fmt::format("first below last, and last at most {}", blocks),
                   .received = fmt::format("{} to {}", options_.first, options_.last)});
    if (options_.supervision > 0 && options_.last != blocks)
      throw Error(ErrorKind::invalid_argument,
                  {.where = "connection.supervision",
                   .rule = "reads out the stream after each loop, so no block may follow"});
    last_site_ = first_site_ = 0;
    for (const Site& site : carrier.sites) {
      if (site.block < options_.first) ++first_site_;
      if (site.block < options_.last) ++last_site_;
      const bool looped = site.block >= options_.first && site.block < options_.last;
      if (looped && site.changes_shape())
        refuse("loop", carrier,
               fmt::format("block {} changes the shape of the stream, which a loop cannot",
                           site.block));
    }
  }

  Place place_of(const Site& site) const {
    const int64_t length = last_site_ - first_site_;
    const int64_t loops = std::max(options_.loops, options_.eval_loops);
    const int64_t at = site.step - first_site_;
    if (at < 0 || at >= loops * length) return {};
    return {true, at % length == 0, at % length == length - 1, at / length};
  }

  int64_t active_loops() const { return is_training() ? options_.loops : options_.eval_loops; }
  // Where more loops run than were trained, the later ones take the last one's numbers.
  int64_t trained(int64_t loop) const { return std::min(loop, options_.loops - 1); }
  int64_t channel_dim() const { return carrier_kind_ == CarrierKind::cnn ? 1 : -1; }
  bool halts() const { return options_.tolerance > 0 && !is_training(); }
  bool stopped(const State& state) const {
    return halts() && state.memo.contains(kLoopMoving) &&
           !state.memo.at(kLoopMoving).any().item<bool>();
  }

  void begin_loop(State& state, int64_t loop) {
    if (loop > 0 && is_training() && options_.backprop_loops > 0 &&
        loop == active_loops() - options_.backprop_loops)
      state.x() = state.x().detach();
    state.memo[kLoopStart] = state.x();
    if (options_.input_injection) {
      if (loop == 0)
        state.memo[kLoopInput] = state.x();
      else
        state.x() = state.x() + state.memo.at(kLoopInput);
    }
    if (!options_.loop_embedding) return;
    at::Tensor vector = embedding_[trained(loop)];
    if (carrier_kind_ == CarrierKind::cnn) vector = vector.view({-1, 1, 1});
    state.x() = state.x() + vector;
  }

  void end_loop(State& state, int64_t loop) {
    const at::Tensor start = state.memo.at(kLoopStart), h = state.x();
    at::Tensor x = next(start, h, loop);
    if (normalises())
      x = x * (x.square().mean(channel_dim(), /*keepdim=*/true) + kPostLoopEps).rsqrt();
    if (halts()) x = halted(state, start, x);
    state.x() = x;
    state.memo.erase(kLoopStart);
    if (options_.supervision > 0 && loop + 1 < active_loops())
      state.memo[fmt::format("{}{:04}", kLoopExit, loop)] = x;
  }

  // x + scale g(h), where g(h) = h (stack) or h - x (delta); delta without scale is h to the bit.
  at::Tensor next(const at::Tensor& x, const at::Tensor& h, int64_t loop) const {
    const bool delta = options_.output == LoopOutput::delta;
    if (options_.scale == LoopScale::none) return delta ? h : x + h;
    const at::Tensor g = delta ? h - x : h;
    if (options_.scale == LoopScale::learned) return x + scale_[trained(loop)] * g;
    return at::add(x, g, 1 / static_cast<double>(active_loops()));
  }

  bool normalises() const {
    if (options_.post_loop_norm != LoopSwitch::automatic)
      return options_.post_loop_norm == LoopSwitch::on;
    return options_.output == LoopOutput::stack && options_.loops > 2;
  }

  at::Tensor halted(State& state, const at::Tensor& before, const at::Tensor& after) const {
    const auto size = [&](const at::Tensor& x) {
      if (carrier_kind_ == CarrierKind::cnn)
        return x.square().sum(at::IntArrayRef{1, 2, 3}, /*keepdim=*/true).sqrt();
      return x.square().sum(-1, /*keepdim=*/true).sqrt();
    };
    const at::Tensor change = size(after - before) / size(before);
    const bool first = !state.memo.contains(kLoopMoving);
    const at::Tensor moved = first ? at::ones_like(change, at::kBool) : state.memo.at(kLoopMoving);
    state.memo[kLoopCount] = first ? moved.to(at::kLong) : state.memo.at(kLoopCount) + moved;
    state.memo[kLoopMoving] = moved.logical_and(change.ge(options_.tolerance));
    return at::where(moved, after, before);
  }

  LoopConnectionOptions options_;
  CarrierKind carrier_kind_;
  int64_t first_site_ = 0, last_site_ = 0;
  at::Tensor scale_, embedding_;
};

}  // namespace

void add_loop_connections(Registry<Connection, Carrier, Random>& connections) {
  connections.add<LoopConnectionOptions>(
      {"loop", "the same blocks several times, each time adding to the stream", "loop-residual"},
      {}, [](const LoopConnectionOptions& o, const Carrier& carrier, const Random&) {
        return std::make_shared<LoopConnection>(o, carrier);
      });
}

}  // namespace residua
