#include "residua/nn/moe.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/nn/tracing.h"

namespace residua {

namespace {

// Place of each assignment in its expert's queue: int64 [k * tokens], first choices of all tokens
// before second ones.
at::Tensor queue_places(const at::Tensor& expert, int64_t experts) {
  const at::Tensor one_hot = at::one_hot(expert, experts);
  const at::Tensor places = one_hot.cumsum(0) - 1;
  return places.gather(1, expert.unsqueeze(1)).squeeze(1);
}

int64_t moe_capacity(double factor, int64_t top_k, int64_t tokens, int64_t experts) {
  return static_cast<int64_t>(
      std::ceil(factor * static_cast<double>(top_k * tokens) / static_cast<double>(experts)));
}

}  // namespace

MoeRoutes moe_routes(const at::Tensor& logits, int64_t top_k, double capacity_factor,
                     bool normalize) {
  const int64_t tokens = logits.size(0), experts = logits.size(1);
  MoeRoutes r;
  r.probabilities = logits.softmax(-1);
  auto [gates, chosen] = r.probabilities.topk(top_k, -1);
  if (normalize) gates = gates / gates.sum(-1, true);
  r.chosen = chosen;

  const at::Tensor expert = chosen.t().reshape({-1});  // [k * tokens]
  const at::Tensor token = at::arange(tokens, expert.options()).repeat({top_k});
  at::Tensor kept = at::arange(expert.size(0), expert.options());
  if (capacity_factor > 0) {
    kept = kept.masked_select(queue_places(expert, experts) <
                              moe_capacity(capacity_factor, top_k, tokens, experts));
  }
  r.dropped = expert.size(0) - kept.size(0);
  const at::Tensor key = expert.index_select(0, kept) * tokens + token.index_select(0, kept);
  kept = kept.index_select(0, key.argsort());
  r.tokens = token.index_select(0, kept);
  r.experts = expert.index_select(0, kept);
  r.gates = gates.t().reshape({-1}).index_select(0, kept);
  const at::Tensor counts = at::bincount(r.experts, {}, experts).to(at::kCPU);
  r.counts.assign(counts.data_ptr<int64_t>(), counts.data_ptr<int64_t>() + experts);

  const at::Tensor first =
      at::one_hot(chosen.select(1, 0), experts).to(r.probabilities.scalar_type()).mean(0);
  r.balance = static_cast<double>(experts) * (first * r.probabilities.mean(0)).sum();
  r.z = logits.logsumexp(-1).square().mean();
  return r;
}

Moe::Moe(const MoeOptions& options, const Random& random)
    : torch::nn::Module("Moe"), options_(options) {
  const MoeOptions& o = options_;
  if (o.top_k < 1 || o.top_k > o.experts)
    throw Error(ErrorKind::invalid_argument,
                {.where = "moe.top_k",
                 .rule = "must be from 1 to the number of experts",
                 .received = fmt::format("{} of {}", o.top_k, o.experts)});
  router = register_module("router", linear(o.dim, o.experts, {.bias = false, .stddev = o.stddev},
                                            random.split("router")));
  const auto list = register_module("experts", std::make_shared<torch::nn::Module>("Experts"));
  for (int64_t e = 0; e < o.experts; ++e) {
    const std::string name = std::to_string(e);
    const Random own = random.split("experts").split(name);
    const auto part = list->register_module(name, std::make_shared<torch::nn::Module>("Expert"));
    Expert expert{part->register_module(
                      "fc1", linear(o.dim, o.hidden, {.stddev = o.stddev}, own.split("fc1"))),
                  part->register_module(
                      "fc2", linear(o.hidden, o.dim, {.stddev = o.stddev}, own.split("fc2")))};
    experts_.push_back(std::move(expert));
  }
}

at::Tensor Moe::run_expert(const Expert& expert, const at::Tensor& x) const {
  const at::Tensor y = expert.fc2->forward(activate(expert.fc1->forward(x), options_.act));
  return options_.act_after ? activate(y, options_.act) : y;
}

MoeRoutes Moe::route(const at::Tensor& x) const {
  return moe_routes(router->forward(x.reshape({-1, options_.dim})), options_.top_k,
                    options_.capacity_factor, options_.normalize);
}

// Every expert computes every token, and gates that are 0 leave out what was not routed: no sizes
// depend on numbers, as a graph wants it.
Moe::Output Moe::forward_densely(const at::Tensor& x) const {
  const MoeOptions& o = options_;
  const at::Tensor tokens = x.reshape({-1, o.dim});
  MoeRoutes r;
  r.probabilities = router->forward(tokens).softmax(-1);
  auto [gates, chosen] = r.probabilities.topk(o.top_k, -1);
  if (o.normalize) gates = gates / gates.sum(-1, true);
  r.chosen = chosen;
  r.balance = r.z = at::zeros({}, tokens.options());
  const at::Tensor expert = chosen.t().reshape({-1, 1}), gate = gates.t().reshape({-1, 1});
  at::Tensor routed = (expert == at::arange(o.experts)).to(tokens.scalar_type());
  if (o.capacity_factor > 0)
    routed =
        routed * (routed.cumsum(0) <= static_cast<double>(moe_capacity(o.capacity_factor, o.top_k,
                                                                       tokens.size(0), o.experts)))
                     .to(tokens.scalar_type());
  const at::Tensor weights =  // [tokens, experts]
      (routed * gate).reshape({o.top_k, tokens.size(0), o.experts}).sum(0);
  Output out{.y = {}, .routes = std::move(r)};
  for (int64_t e = 0; e < o.experts; ++e) {
    const at::Tensor y =
        run_expert(experts_[static_cast<size_t>(e)], tokens) * weights.narrow(1, e, 1);
    out.y = out.y.defined() ? out.y + y : y;
  }
  out.y = out.y.view(x.sizes());
  return out;
}

Moe::Output Moe::forward(const at::Tensor& x) const {
  if (is_tracing()) return forward_densely(x);
  const at::Tensor tokens = x.reshape({-1, options_.dim});
  Output out{.y = {}, .routes = route(x)};
  const MoeRoutes& r = out.routes;
  const std::vector<at::Tensor> inputs =
      tokens.index_select(0, r.tokens).split_with_sizes(r.counts);  // dispatch
  std::vector<at::Tensor> outputs;
  for (size_t e = 0; e < experts_.size(); ++e)
    outputs.push_back(run_expert(experts_[e], inputs[e]));
  const at::Tensor weighted = at::cat(outputs) * r.gates.unsqueeze(1);
  out.y = at::zeros_like(tokens).index_add(0, r.tokens, weighted).view(x.sizes());  // combine
  return out;
}

}  // namespace residua
