#include "residua/connections/hyper.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/connections/hyper_mix.h"
#include "residua/core/error.h"

namespace residua {

namespace {

const std::string kMixed = "hyper.mixed", kBeta = "hyper.beta";

// Channels last for maps [N, C, H, W]; all other streams have them there.
at::Tensor to_tokens(const at::Tensor& x, bool maps) { return maps ? x.permute({0, 2, 3, 1}) : x; }

at::Tensor from_tokens(const at::Tensor& x, bool maps) {
  return maps ? x.permute({0, 3, 1, 2}) : x;
}

// [A_m | A_r] and B of branch `index`.
HyperCoefficients initial_coefficients(HyperPreset preset, int64_t n, int64_t index) {
  at::Tensor alpha = torch::zeros({n, n + 1}), beta = torch::ones({n});
  at::Tensor read = alpha.select(1, 0), mix = alpha.narrow(1, 1, n);
  switch (preset) {
    case HyperPreset::sequential:
      read[index % n] = 1;
      mix.copy_(torch::eye(n));
      break;
    case HyperPreset::parallel:
      read[index % 2] = 1;
      if (index % 2 == 0) {  // the first adds to its own stream alone
        mix.copy_(torch::eye(n));
        beta[1] = 0;
      } else {  // and the second adds to both what the first has made
        mix[0].fill_(1);
      }
      break;
    case HyperPreset::mixture:
      read.fill_(1 / static_cast<double>(n));
      mix.copy_(0.5 * torch::eye(n) + 0.5 / static_cast<double>(n));
      break;
  }
  return {alpha, beta};
}

// The weight with which a branch ends: the last matrix that is not a shortcut's.
at::Tensor output_projection(const torch::nn::Module& branch) {
  at::Tensor last;
  for (const auto& p : branch.named_parameters())
    if (p.value().dim() >= 2 && p.key().find("downsample") == std::string::npos &&
        p.key().find("shortcut") == std::string::npos)
      last = p.value();
  return last;
}

}  // namespace

void HyperOptions::fields(Fields& f) {
  f.add("streams", streams, "n, copies of the residual stream", {.min = 1});
  f.add("dynamic", dynamic, "connections that depend on what the streams hold");
  f.add("tanh", tanh, "of the dynamic part");
  f.add("scale", scale, "initial factor of the dynamic part", {.min = 0});
  f.add("norm", norm, "of the streams before the dynamic part");
  f.add("learn", learn,
        "all, width: how streams are mixed and read, or depth: how the branch is added");
  f.add("preset", preset,
        "initial matrices: sequential, the residual network; parallel, pairs of branches side by "
        "side (two streams); mixture, reads of the mean");
  f.add("out_std", out_std, "multiply each branch's initial last weights by sqrt(n)");
  f.add("one_pass", one_pass, "mix the streams in one pass over memory, on the CPU");
}

HyperSite::HyperSite(const HyperOptions& o, int64_t index, int64_t width)
    : torch::nn::Module("HyperSite"), tanh_(o.tanh) {
  const HyperCoefficients initial = initial_coefficients(o.preset, o.streams, index);
  const bool learns_alpha = o.learn != HyperLearn::depth,
             learns_beta = o.learn != HyperLearn::width;
  static_alpha = learns_alpha ? register_parameter("static_alpha", initial.alpha)
                              : register_buffer("static_alpha", initial.alpha);
  if (o.dynamic && learns_alpha) {
    dynamic_alpha_fn = register_parameter("dynamic_alpha_fn", torch::zeros({width, o.streams + 1}));
    dynamic_alpha_scale = register_parameter("dynamic_alpha_scale", torch::full({}, o.scale));
  }
  static_beta = learns_beta ? register_parameter("static_beta", initial.beta)
                            : register_buffer("static_beta", initial.beta);
  if (o.dynamic && learns_beta) {
    dynamic_beta_fn = register_parameter("dynamic_beta_fn", torch::zeros({width}));
    dynamic_beta_scale = register_parameter("dynamic_beta_scale", torch::full({}, o.scale));
  }
  if (!o.dynamic) return;
  if (o.norm == HyperNorm::layer) {
    norm_ = register_module("norm", std::make_shared<LayerNorm>(width));
  } else {
    const auto norm = register_module("norm", std::make_shared<torch::nn::Module>("RmsNorm"));
    gamma_ = norm->register_parameter("gamma", torch::zeros({width}));
  }
}

bool HyperSite::decays(const std::string& parameter, bool usual) const {
  if (parameter.starts_with("static_")) return false;
  return usual || parameter.ends_with("_fn");
}

at::Tensor HyperSite::normalized(const at::Tensor& streams) const {
  if (norm_) return norm_->forward(streams);
  const double root = std::sqrt(static_cast<double>(streams.size(-1)));
  const at::Tensor norm = streams.norm(2, {-1}, true).clamp_min(1e-12);
  return streams / norm * (root * (1 + gamma_));
}

HyperCoefficients HyperSite::coefficients(const at::Tensor& streams) const {
  std::vector<int64_t> tokens(streams.sizes().begin(), streams.sizes().end() - 1);
  const auto expanded = [&](const at::Tensor& entries) {
    std::vector<int64_t> shape = tokens;
    if (entries.dim() == 2) shape.push_back(entries.size(1));
    return entries.expand(shape);
  };
  at::Tensor seen;
  if (dynamic_alpha_fn.defined() || dynamic_beta_fn.defined()) seen = normalized(streams);
  const auto entries = [&](const at::Tensor& fixed, const at::Tensor& fn, const at::Tensor& scale) {
    if (!fn.defined()) return expanded(fixed);
    const at::Tensor raw = at::matmul(seen, fn);  // equations 10 to 12
    return (tanh_ ? raw.tanh() : raw) * scale + fixed;
  };
  return {entries(static_alpha, dynamic_alpha_fn, dynamic_alpha_scale),
          entries(static_beta, dynamic_beta_fn, dynamic_beta_scale)};
}

HyperConnection::HyperConnection(const HyperOptions& options, const Carrier& carrier)
    : options_(options), maps_(carrier.kind == CarrierKind::cnn) {
  if (options_.preset == HyperPreset::parallel && options_.streams != 2)
    throw Error(ErrorKind::invalid_argument, {.where = "connection.preset",
                                              .rule = "parallel needs two streams",
                                              .expected = "streams = 2",
                                              .received = std::to_string(options_.streams)});
  for (size_t i = 0; i < carrier.sites.size(); ++i)
    sites_.push_back(register_module(
        std::to_string(i),
        std::make_shared<HyperSite>(options_, static_cast<int64_t>(i), carrier.sites[i].c_in)));
}

void HyperConnection::init(const Site&, torch::nn::Module& branch, const Random&) {
  if (!options_.out_std) return;
  const at::Tensor weight = output_projection(branch);
  if (weight.defined()) weight.detach().mul_(std::sqrt(static_cast<double>(options_.streams)));
}

State HyperConnection::begin(const at::Tensor& x0) {
  const at::Tensor x = to_tokens(x0, maps_).unsqueeze(-2);
  std::vector<int64_t> shape = x.sizes().vec();
  shape[shape.size() - 2] = options_.streams;
  return {.streams = {x.expand(shape)}};
}

Read HyperConnection::read(State& state, const Site& site) {
  const HyperCoefficients c = sites_[static_cast<size_t>(site.branch)]->coefficients(state.x());
  if (observe_) observe_(site, c);
  auto [input, mixed] = hyper_mix(state.x(), c.alpha, options_.one_pass);
  state.memo[kMixed] = std::move(mixed);
  state.memo[kBeta] = c.beta;
  return {.input = from_tokens(input, maps_)};
}

// The streams pass the shortcut side by side, on the batch axis.
void HyperConnection::resize(State& state, const Site&, const Shortcut& shortcut) {
  at::Tensor& mixed = state.memo[kMixed];
  const int64_t n = options_.streams;
  const at::Tensor batch = mixed.permute({3, 0, 4, 1, 2}).flatten(0, 1);  // [n N, C, H, W]
  const at::Tensor out = shortcut(batch);
  mixed = out.unflatten(0, {n, out.size(0) / n}).permute({1, 3, 4, 0, 2});
  at::Tensor& beta = state.memo[kBeta];
  if (mixed.size(1) == beta.size(1) && mixed.size(2) == beta.size(2)) return;
  const at::Tensor maps = beta.permute({0, 3, 1, 2});  // of the positions that remain, the mean
  beta = at::adaptive_avg_pool2d(maps, {mixed.size(1), mixed.size(2)}).permute({0, 2, 3, 1});
}

void HyperConnection::merge(State& state, const Site&, const at::Tensor& y, const Read&) {
  const at::Tensor mixed = state.memo.at(kMixed), beta = state.memo.at(kBeta);
  state.memo.erase(kMixed);
  state.memo.erase(kBeta);
  state.x() = at::addcmul(mixed, beta.unsqueeze(-1), to_tokens(y, maps_).unsqueeze(-2));
}

at::Tensor HyperConnection::finish(const State& state) {
  return from_tokens(state.x().sum(-2), maps_);
}

StreamDiagram HyperConnection::describe() const {
  std::vector<std::string> streams;
  for (int64_t i = 1; i <= options_.streams; ++i) streams.push_back(fmt::format("h{}", i));
  return {.streams = std::move(streams),
          .begin = "every h = x0",
          .read = "Am^T H",
          .merge = "Ar^T H + B^T f(Am^T H)",
          .finish = "sum of all h"};
}

at::Tensor unroll_hyper(const std::vector<HyperCoefficients>& branches) {
  const at::NoGradGuard no_grad;
  const int64_t count = static_cast<int64_t>(branches.size());
  at::Tensor dense = torch::zeros({count + 1, count + 1}, at::kDouble);
  if (branches.empty()) return dense.fill_(1);
  const int64_t n = branches.front().beta.size(0);
  at::Tensor held = torch::zeros({n, count + 1}, at::kDouble);  // what is in each stream
  held.select(1, 0).fill_(1);
  for (int64_t t = 0; t < count; ++t) {
    const at::Tensor alpha = branches[static_cast<size_t>(t)].alpha.to(at::kDouble).t();
    const at::Tensor mixed = at::mm(alpha, held);
    dense[t] = mixed[0];
    held = mixed.narrow(0, 1, n).clone();
    held.select(1, t + 1).add_(branches[static_cast<size_t>(t)].beta);
  }
  dense[count] = held.sum(0);
  return dense;
}

void add_hyper_connections(Registry<Connection, Carrier, Random>& connections) {
  connections.add<HyperOptions>(
      {"hyper", "n streams, read and mixed by learned matrices", "hyper-connections"}, {},
      [](const HyperOptions& o, const Carrier& carrier, const Random&) {
        return std::make_shared<HyperConnection>(o, carrier);
      });
}

}  // namespace residua
