#include "residua/connections/laurel.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "residua/connections/feature.h"
#include "residua/connections/low_rank.h"
#include "residua/core/error.h"

namespace residua {

void LaurelOptions::fields(Fields& f) {
  f.add("variant", variant, "which learned parts the residual layer has");
  f.add("rank", rank, "of A B; 0: 16 on maps, 4 elsewhere, never above the width", {.min = 0});
  f.add("norm", norm, "how alpha and beta are kept positive");
  f.add("history", history, "earlier states of the stream that pa adds, itself among them",
        {.min = 1, .max = 64});
  f.add("mix", mix, "h of pa: A B, or the states as they are");
  f.add("per", per, "one residual layer for each attention and MLP, or for each whole block");
}

namespace {

bool has_scales(LaurelVariant v) {
  return v == LaurelVariant::rw || v == LaurelVariant::rw_lr || v == LaurelVariant::rw_lr_pa;
}
bool has_low_rank(LaurelVariant v) {
  return v == LaurelVariant::lr || v == LaurelVariant::rw_lr || v == LaurelVariant::rw_lr_pa;
}
bool has_history(LaurelVariant v) { return v == LaurelVariant::pa || v == LaurelVariant::rw_lr_pa; }

int64_t laurel_rank(const LaurelOptions& o, const Carrier& carrier, int64_t width) {
  if (o.rank == 0) return std::min<int64_t>(carrier.kind == CarrierKind::cnn ? 16 : 4, width);
  if (o.rank <= width) return o.rank;
  throw Error(ErrorKind::invalid_argument, {.where = "connection.rank",
                                            .rule = "must not exceed the width of the stream",
                                            .expected = fmt::format("at most {}", width),
                                            .received = std::to_string(o.rank)});
}

// x / sqrt(mean of x^2 over the channels) * weight.
class LaurelRmsNorm final : public torch::nn::Module {
 public:
  LaurelRmsNorm(int64_t width, int64_t dim) : dim_(dim) {
    weight_ = register_parameter("weight", torch::ones({width}));
  }
  at::Tensor operator()(const at::Tensor& x) const {
    const at::Tensor mean = x.square().mean(dim_, true);
    const at::Tensor weight = dim_ == 1 ? weight_.view({1, -1, 1, 1}) : weight_;
    return x * (mean + 1e-6).rsqrt() * weight;
  }

 private:
  int64_t dim_;
  at::Tensor weight_;
};

// What one site has learned.
class LaurelSite final : public torch::nn::Module {
 public:
  LaurelSite(const LaurelOptions& o, const Carrier& carrier, int64_t width, const Random& random)
      : torch::nn::Module("Laurel"), options_(o) {
    const LaurelVariant v = o.variant;
    const int64_t rank = laurel_rank(o, carrier, width);
    const double start = o.norm == LaurelNorm::none ? 1 : 0;
    if (has_scales(v) || v == LaurelVariant::pa)
      alpha_ = register_parameter("alpha", torch::full({1}, start));
    if (has_scales(v)) beta_ = register_parameter("beta", torch::full({1}, start));
    if (has_history(v)) gamma_ = register_parameter("gamma", torch::zeros({o.history}));
    const auto map = [&](const char* name, int64_t in, int64_t out) {
      return channel_map(*this, name, carrier.kind, in, out, random);
    };
    if (v == LaurelVariant::gemma) {
      down_ = map("linear_left", width, rank);
      up_ = map("linear_right", rank, width);
      norm_ = register_module("post_laurel_norm",
                              std::make_shared<LaurelRmsNorm>(width, channel_dim(carrier.kind)));
    } else if (has_low_rank(v) || (has_history(v) && o.mix == LaurelMix::low_rank)) {
      up_ = map("A", rank, width);
      down_ = map("B", width, rank);
      fill_orthonormal_columns(up_->matrix(), random.split("A"));
      // pa alone begins with gamma = 0 and would not move from B = 0 too.
      if (has_low_rank(v)) down_->matrix().zero_();
    }
  }

  at::Tensor low_rank(const at::Tensor& x) const { return (*up_)((*down_)(x)); }

  // `states`: the stream now and before, newest first.
  at::Tensor merged(const std::vector<at::Tensor>& states, const at::Tensor& y) const {
    const at::Tensor& x = states.front();
    if (norm_) return ((x + y) + (x + (*norm_)(low_rank(x)))) * std::sqrt(0.5);
    const auto [alpha, beta] = scales();
    at::Tensor kept = has_low_rank(options_.variant) ? x + low_rank(x) : x;
    if (beta.defined()) kept = beta * kept;
    at::Tensor sum = (alpha.defined() ? alpha * y : y) + kept;
    if (!has_history(options_.variant)) return sum;
    // h is linear, so it is applied once, to the weighted sum.
    at::Tensor past = gamma_[0] * x;
    for (size_t j = 1; j < states.size(); ++j)
      past = past + gamma_[static_cast<int64_t>(j)] * states[j];
    return sum + (options_.mix == LaurelMix::low_rank ? low_rank(past) : past);
  }

 private:
  std::pair<at::Tensor, at::Tensor> scales() const {
    switch (options_.norm) {
      case LaurelNorm::none: break;
      case LaurelNorm::sigmoid:
        return {2 * alpha_.sigmoid(), beta_.defined() ? 2 * beta_.sigmoid() : beta_};
      case LaurelNorm::softmax: {
        const at::Tensor both = 2 * at::cat({alpha_, beta_}).softmax(0);
        return {both.slice(0, 0, 1), both.slice(0, 1, 2)};
      }
    }
    return {alpha_, beta_};
  }

  LaurelOptions options_;
  at::Tensor alpha_, beta_, gamma_;
  std::shared_ptr<ChannelMap> up_, down_;  // A, B
  std::shared_ptr<LaurelRmsNorm> norm_;
};

constexpr const char* kLaurelBegin = "laurel.begin";
std::string laurel_past(int64_t j) { return fmt::format("laurel.past{}", j); }

class Laurel final : public Connection {
 public:
  Laurel(const LaurelOptions& o, const Carrier& carrier, const Random& random) : options_(o) {
    const bool scaled = has_scales(o.variant) || o.variant == LaurelVariant::pa;
    if ((o.norm == LaurelNorm::softmax && !has_scales(o.variant)) ||
        (o.norm != LaurelNorm::none && !scaled))
      throw Error(ErrorKind::invalid_argument, {.where = "connection.norm",
                                                .rule = "has nothing to normalise",
                                                .expected = "norm=none, or a variant with rw"});
    const std::vector<Site>& sites = carrier.sites;
    const bool attends =
        std::ranges::any_of(sites, [](const Site& s) { return s.kind == SiteKind::attention; });
    for (size_t i = 0; i < sites.size(); ++i) {
      const bool first = i == 0 || sites[i - 1].block != sites[i].block;
      const bool last = i + 1 == sites.size() || sites[i + 1].block != sites[i].block;
      Place place{.begins = o.per == LaurelPer::sublayer || first,
                  .ends = o.per == LaurelPer::sublayer || last,
                  .site = {}};
      const bool plain = o.variant == LaurelVariant::gemma && o.per == LaurelPer::sublayer &&
                         attends && sites[i].kind != SiteKind::attention;
      if (place.ends && !plain)
        place.site =
            register_module(std::to_string(i),
                            std::make_shared<LaurelSite>(o, carrier, sites[i].c_out,
                                                         random.split(static_cast<uint64_t>(i))));
      places_.push_back(std::move(place));
    }
  }

  void resize(State& state, const Site& site, const Shortcut& shortcut) override {
    Connection::resize(state, site, shortcut);
    if (site.changes_shape())
      std::erase_if(state.memo, [](const auto& m) { return m.first.starts_with("laurel.past"); });
  }

  StreamDiagram describe() const override {
    static constexpr std::array kMerges{"a f(x) + b x",
                                        "f(x) + x + A B x",
                                        "a f(x) + x + sum c_j h(x_j)",
                                        "a f(x) + b (x + A B x)",
                                        "a f(x) + b (x + A B x) + sum c_j h(x_j)",
                                        "((x + f(x)) + (x + norm(A B x))) / sqrt 2"};
    return {.merge = kMerges[static_cast<size_t>(options_.variant)]};
  }

  void merge(State& state, const Site& site, const at::Tensor& y, const Read&) override {
    const Place& place = places_[static_cast<size_t>(site.branch)];
    at::Tensor x = state.x(), total = y;
    if (place.begins && !place.ends) state.memo[kLaurelBegin] = x;
    if (!place.begins) {
      const at::Tensor begin = state.memo.at(kLaurelBegin);
      total = x - begin + y;
      x = begin;
    }
    if (!place.ends || !place.site) {
      state.x() = state.x() + y;
      return;
    }
    state.memo.erase(kLaurelBegin);
    std::vector<at::Tensor> states{x};
    if (has_history(options_.variant)) recall(state, states);
    state.x() = place.site->merged(states, total);
  }

 private:
  struct Place {
    bool begins = true, ends = true;   // of what one residual layer spans
    std::shared_ptr<LaurelSite> site;  // null: x + y
  };

  // Appends the states before the first, and remembers it in their place.
  void recall(State& state, std::vector<at::Tensor>& states) const {
    for (int64_t j = 1; j < options_.history; ++j) {
      const auto found = state.memo.find(laurel_past(j));
      if (found == state.memo.end()) break;
      states.push_back(found->second);
    }
    for (size_t j = 0; j < states.size(); ++j)
      if (static_cast<int64_t>(j) + 1 < options_.history)
        state.memo[laurel_past(static_cast<int64_t>(j) + 1)] = states[j];
  }

  LaurelOptions options_;
  std::vector<Place> places_;
};

}  // namespace

void add_laurel_connections(Registry<Connection, Carrier, Random>& connections) {
  connections.add<LaurelOptions>(
      {"laurel", "learned residual layer: alpha f(x) + beta (x + A B x) + earlier states",
       "laurel"},
      {}, [](const LaurelOptions& o, const Carrier& carrier, const Random& random) {
        return std::make_shared<Laurel>(o, carrier, random);
      });
}

}  // namespace residua
