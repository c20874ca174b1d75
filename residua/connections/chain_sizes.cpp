// Measures what a chain of sites costs.

#include <torch/torch.h>

#include <set>

#include "residua/connections/checkpoint.h"
#include "residua/connections/generator_state.h"
#include "residua/connections/graph_leaves.h"
#include "residua/nn/layer.h"
#include "residua/nn/live_bytes.h"
#include "residua/nn/observe.h"
#include "residua/nn/recompute.h"

namespace residua {

namespace {

int64_t bytes_of(const State& state) {
  std::set<const void*> seen;
  int64_t bytes = 0;
  for (const at::Tensor& t : state.flatten())
    if (t.defined() && seen.insert(t.data_ptr()).second) bytes += static_cast<int64_t>(t.nbytes());
  return bytes;
}

// The same state as the beginning of a history.
State cut_off(const State& state) {
  std::vector<at::Tensor> tensors = state.flatten();
  for (at::Tensor& t : tensors)
    if (t.defined()) t = t.detach().requires_grad_(at::isFloatingType(t.scalar_type()));
  return state.unflatten(tensors);
}

// A backward through one site, with gradients of everything that it may have to give.
void run_backwards(const State& before, const State& after) {
  std::vector<at::Tensor> roots, ones;
  for (const at::Tensor& t : after.flatten()) {
    if (!t.defined() || !t.requires_grad()) continue;
    roots.push_back(t);
    ones.push_back(at::ones_like(t));
  }
  std::vector<at::Tensor> wanted = graph_leaves(roots);
  for (const at::Tensor& t : before.flatten())
    if (t.defined() && t.requires_grad()) wanted.push_back(t);
  if (roots.empty() || wanted.empty()) return;
  torch::autograd::grad(roots, wanted, ones, /*retain_graph=*/false, /*create_graph=*/false,
                        /*allow_unused=*/true);
}

State measure_site(const State& before, const ChainStep& step, int64_t i, ChainSizes& sizes) {
  const auto at = static_cast<size_t>(i);
  sizes.state[at] = bytes_of(before);
  const ForwardObserver observer([&](const auto& layer, const auto& x, const auto& y) {
    sizes.work[at] += static_cast<double>(y.numel());
    const auto* counts = dynamic_cast<const CountsMacs*>(&layer);
    if (!counts) return;
    sizes.work[at] += static_cast<double>(counts->macs(x, y));
    sizes.product[at] += static_cast<int64_t>(y.nbytes());
  });
  const LiveBytes live;
  const State after = step(i, before);
  sizes.activation[at] = live.now();
  const State next = cut_off(after);
  run_backwards(before, after);
  sizes.transient[at] = std::max<int64_t>(0, live.peak() - sizes.activation[at]);
  return next;
}

}  // namespace

ChainSizes measure_chain(int64_t sites, State state, const ChainStep& step) {
  const GeneratorScope generators(GeneratorState::present(state.flatten()));
  const RecomputeScope no_traces;
  const torch::AutoGradMode with_grad(true);
  ChainSizes sizes(sites);
  state = cut_off(state);
  for (int64_t i = 0; i < sites; ++i) state = measure_site(state, step, i, sizes);
  return sizes;
}

}  // namespace residua
