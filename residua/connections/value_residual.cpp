#include "residua/connections/value_residual.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>

#include "residua/core/error.h"

namespace residua {

namespace {

constexpr char kFirstValues[] = "values.0", kGroupKeys[] = "keys";

int64_t layers_of(const Carrier& carrier) { return carrier.sites.back().block + 1; }

class ValueConnection : public Connection {
 public:
  ValueConnection(const std::string& name, const Carrier& carrier) {
    if (carrier.kind != CarrierKind::vit && carrier.kind != CarrierKind::gpt)
      refuse(name, carrier, "it has no attention whose values could be passed on");
  }
  void merge(State& state, const Site&, const at::Tensor& y, const Read&) override {
    state.x() = state.x() + y;
  }
};

// --- ResFormer

enum class ResFormerVariant { identity, constant, learnable, learnable_plus, sparse, dense };

struct ResFormerOptions {
  ResFormerVariant variant = ResFormerVariant::identity;
  std::optional<double> lambda1 = {}, lambda2 = {};
  std::vector<int64_t> layers = {};
  void fields(Fields& f);
};

}  // namespace

template <>
struct EnumNames<ResFormerVariant> {
  static constexpr std::array names{"identity",       "constant", "learnable",
                                    "learnable_plus", "sparse",   "dense"};
};

namespace {

void ResFormerOptions::fields(Fields& f) {
  f.add("variant", variant, "how the first layer's values and the layer's own are added");
  f.add("lambda1", lambda1,
        "weight of the first layer's values; 0.5, and 1 where constant; not where identity");
  f.add("lambda2", lambda2,
        "weight of the layer's own values; 0.5, and 1 where constant; not where identity");
  f.add("layers", layers, "where sparse: the blocks, from 1, that add; empty: the last third",
        {.min = 1});
}

class ResFormer final : public ValueConnection {
 public:
  ResFormer(const ResFormerOptions& options, const Carrier& carrier)
      : ValueConnection("resformer", carrier), options_(options), layers_(layers_of(carrier)) {
    check(options_);
    const double usual = options_.variant == ResFormerVariant::constant ? 1 : 0.5;
    lambda1_ = options_.lambda1.value_or(usual);
    lambda2_ = options_.lambda2.value_or(usual);
    if (options_.variant == ResFormerVariant::sparse) choose_layers();
    add_parameters();
  }

  at::Tensor values(State& state, const Site& site, const at::Tensor& v) override {
    if (options_.variant == ResFormerVariant::dense || site.block == 0)
      state.memo[fmt::format("values.{}", site.block)] = v;
    if (site.block == 0) return v;
    const at::Tensor& first = state.memo.at(kFirstValues);
    switch (options_.variant) {
      case ResFormerVariant::dense: return all_before(state, site.block);
      case ResFormerVariant::learnable: {
        const at::Tensor& l = learned_[static_cast<size_t>(site.block)];
        return l[0] * first + l[1] * v;
      }
      case ResFormerVariant::learnable_plus: {
        const at::Tensor weight =
            shares_.defined() ? scale_ * at::softmax(shares_, 0)[site.block - 1] : scale_;
        return weight * first + learned_[static_cast<size_t>(site.block)] * v;
      }
      case ResFormerVariant::sparse:
        if (!std::ranges::binary_search(options_.layers, site.block + 1)) return v;
        [[fallthrough]];
      default: return weighted(first, v);
    }
  }

  StreamDiagram describe() const override {
    const bool dense = options_.variant == ResFormerVariant::dense;
    return {.streams = {"x", "V1"},
            .merge = dense ? "x + f(x; sum of l_i V_i)" : "x + f(x; l1 V1 + l2 V)"};
  }

 private:
  void check(const ResFormerOptions& o) const {
    if (o.variant == ResFormerVariant::identity && (o.lambda1 || o.lambda2))
      throw Error(ErrorKind::invalid_argument,
                  {.where = "connection",
                   .rule = "resformer of variant identity has the weights 0.5 and 0.5",
                   .hint = "variant=constant takes lambda1 and lambda2"});
    if (o.variant != ResFormerVariant::sparse && !o.layers.empty())
      throw Error(ErrorKind::invalid_argument,
                  {.where = "connection.layers", .rule = "belongs to variant=sparse"});
    for (const int64_t layer : o.layers)
      if (layer < 2 || layer > layers_)
        throw Error(ErrorKind::invalid_argument,
                    {.where = "connection.layers",
                     .rule = "names a block that has no earlier values",
                     .expected = fmt::format("2 to {}", layers_),
                     .received = std::to_string(layer)});
  }

  void choose_layers() {
    for (int64_t n = layers_ - layers_ / 3 + 1; options_.layers.empty() && n <= layers_; ++n)
      if (n >= 2) chosen_.push_back(n);
    if (options_.layers.empty()) options_.layers = chosen_;
    std::ranges::sort(options_.layers);
  }

  void add_parameters() {
    const ResFormerVariant v = options_.variant;
    if (v != ResFormerVariant::learnable && v != ResFormerVariant::learnable_plus &&
        v != ResFormerVariant::dense)
      return;
    if (v == ResFormerVariant::learnable_plus && layers_ > 1) {
      scale_ = register_parameter("scale",
                                  torch::full({1}, lambda1_ * static_cast<double>(layers_ - 1)));
      if (layers_ > 2) shares_ = register_parameter("shares", torch::zeros({layers_ - 1}));
    }
    learned_.resize(1);  // the first layer has none
    for (int64_t block = 1; block < layers_; ++block) {
      const auto layer = register_module(std::to_string(block), std::make_shared<Module>("Layer"));
      at::Tensor start = torch::full({1}, lambda2_);
      if (v == ResFormerVariant::learnable) start = torch::tensor({lambda1_, lambda2_});
      if (v == ResFormerVariant::dense)
        start = at::cat({torch::full({block}, lambda1_ / static_cast<double>(block)), start});
      learned_.push_back(layer->register_parameter("lambda", start.to(at::kFloat)));
    }
  }

  // At l1 = 0 exactly v, and at l2 = 0 exactly the first values.
  at::Tensor weighted(const at::Tensor& first, const at::Tensor& v) const {
    if (lambda1_ == 0) return lambda2_ == 1 ? v : lambda2_ * v;
    const at::Tensor from_first = lambda1_ == 1 ? first : lambda1_ * first;
    return lambda2_ == 0 ? from_first : at::add(from_first, v, lambda2_);
  }

  at::Tensor all_before(const State& state, int64_t block) const {
    const at::Tensor& l = learned_[static_cast<size_t>(block)];
    at::Tensor sum = l[0] * state.memo.at(kFirstValues);
    for (int64_t i = 1; i <= block; ++i)
      sum = sum + l[i] * state.memo.at(fmt::format("values.{}", i));
    return sum;
  }

  ResFormerOptions options_;
  int64_t layers_;
  double lambda1_ = 0, lambda2_ = 0;
  std::vector<int64_t> chosen_;
  at::Tensor scale_, shares_;
  std::vector<at::Tensor> learned_;  // by block
};

// --- SVFormer

struct SvFormerOptions {
  int64_t share_keys = 1;
  void fields(Fields& f) {
    f.add("share_keys", share_keys, "consecutive blocks that attend with the keys of their first",
          {.min = 1});
  }
};

class SvFormer final : public ValueConnection {
 public:
  SvFormer(const SvFormerOptions& options, const Carrier& carrier)
      : ValueConnection("svformer", carrier), group_(options.share_keys) {}

  BranchStyle style(const Site& site) const override {
    if (site.kind != SiteKind::attention) return {};
    return {.key = site.block % group_ == 0, .value = site.block == 0};
  }
  at::Tensor keys(State& state, const Site&, const at::Tensor& k) override {
    if (group_ == 1) return k;
    if (k.defined()) state.memo[kGroupKeys] = k;
    return state.memo.at(kGroupKeys);
  }
  at::Tensor values(State& state, const Site&, const at::Tensor& v) override {
    if (v.defined()) state.memo[kFirstValues] = v;
    return state.memo.at(kFirstValues);
  }
  CachedAt cached_at(const Site& site) const override {
    return {site.step - 2 * (site.block % group_), site.step - 2 * site.block};
  }
  StreamDiagram describe() const override {
    return {.streams = {"x", "V1"}, .merge = "x + f(x; V1)"};
  }

 private:
  int64_t group_;
};

// --- NeuTRENO

struct NeuTrenoOptions {
  double tau = 0.4;
  void fields(Fields& f) { f.add("tau", tau, "weight of the difference to the first values"); }
};

class NeuTreno final : public ValueConnection {
 public:
  NeuTreno(const NeuTrenoOptions& options, const Carrier& carrier)
      : ValueConnection("neutreno", carrier), tau_(options.tau) {}

  at::Tensor values(State& state, const Site& site, const at::Tensor& v) override {
    if (site.block == 0) state.memo[kFirstValues] = v;
    return v;
  }
  at::Tensor attended(State& state, const Site& site, const at::Tensor& u,
                      const at::Tensor& v) override {
    if (site.block == 0) return u;  // V_1 - V_1
    at::Tensor difference = state.memo.at(kFirstValues) - v;
    if (const int64_t copies = u.size(1) / v.size(1); copies > 1)
      difference = difference.repeat_interleave(copies, 1);
    return at::add(u, difference, tau_);
  }
  StreamDiagram describe() const override {
    return {.streams = {"x", "V1"}, .merge = fmt::format("x + f(x; A V + {:g} (V1 - V))", tau_)};
  }

 private:
  double tau_;
};

// --- DenseFormer

struct NoValueOptions {
  void fields(Fields&) {}
};

class DenseFormer final : public ValueConnection {
 public:
  explicit DenseFormer(const Carrier& carrier) : ValueConnection("denseformer", carrier) {
    for (int64_t block = 0; block < layers_of(carrier); ++block) {
      at::Tensor alpha = torch::zeros({block + 2});
      alpha[block + 1] = 1;
      const auto layer = register_module(std::to_string(block), std::make_shared<Module>("Layer"));
      alpha_.push_back(layer->register_parameter("alpha", alpha));
    }
  }

  State begin(const at::Tensor& x0) override { return {.streams = {x0, x0}}; }
  void merge(State& state, const Site& site, const at::Tensor& y, const Read&) override {
    state.x() = state.x() + y;
    if (site.sublayer == 0) return;
    state.streams.push_back(state.x());
    const at::Tensor& alpha = alpha_[static_cast<size_t>(site.block)];
    at::Tensor sum = alpha[0] * state.streams[1];
    for (int64_t i = 1; i < alpha.size(0); ++i)
      sum = sum + alpha[i] * state.streams[static_cast<size_t>(i) + 1];
    state.x() = sum;
  }
  StreamDiagram describe() const override {
    return {.streams = {"x", "x0 ... xn"}, .merge = "x + f(x); after block n: sum of a_i x_i"};
  }

 private:
  std::vector<at::Tensor> alpha_;
};

}  // namespace

void add_value_connections(Registry<Connection, Carrier, Random>& connections) {
  connections.add<ResFormerOptions>(
      {"resformer", "attends with the first layer's values added to each layer's own",
       "value-residual"},
      {}, [](const ResFormerOptions& o, const Carrier& carrier, const Random&) {
        return std::make_shared<ResFormer>(o, carrier);
      });
  connections.add<SvFormerOptions>(
      {"svformer", "attends with the first layer's values in every layer", "value-residual"}, {},
      [](const SvFormerOptions& o, const Carrier& carrier, const Random&) {
        return std::make_shared<SvFormer>(o, carrier);
      });
  connections.add<NeuTrenoOptions>(
      {"neutreno", "adds tau times the difference to the first layer's values to each attention",
       "value-residual"},
      {}, [](const NeuTrenoOptions& o, const Carrier& carrier, const Random&) {
        return std::make_shared<NeuTreno>(o, carrier);
      });
  connections.add<NoValueOptions>(
      {"denseformer", "averages the outputs of all blocks so far with learned weights",
       "value-residual"},
      {}, [](const NoValueOptions&, const Carrier& carrier, const Random&) {
        return std::make_shared<DenseFormer>(carrier);
      });
}

}  // namespace residua
