#include "residua/analysis/signal/signal.h"

#include <torch/torch.h>

#include <cmath>

#include "residua/nn/init.h"

namespace residua {

namespace {

// What one pass leaves behind.
struct SeenSite {
  Site site;
  std::vector<at::Tensor> streams;
  at::Tensor readout, branch;
};

// Stops watching however the pass ends.
class SignalWatch {
 public:
  explicit SignalWatch(StreamModel& model) : model_(model) {
    model.watch_branches([this](const Site& site, const Read& read, const at::Tensor& y) {
      if (seen.empty() && !input.defined()) input = read.input.detach();
      branch_ = y;
      branch_site_ = site.step;
    });
    model.visit_sites([this](const Site& site, const State& state) {
      const bool ran = branch_site_ == site.step && branch_.defined();
      seen.push_back({site, state.streams, model_.connection().finish(state),
                      ran ? branch_.detach() : at::Tensor()});
    });
  }
  ~SignalWatch() {
    model_.watch_branches({});
    model_.visit_sites({});
  }

  at::Tensor input;
  std::vector<SeenSite> seen;

 private:
  StreamModel& model_;
  at::Tensor branch_;
  int64_t branch_site_ = -1;
};

double mean_sample_norm(const std::vector<at::Tensor>& gradients) {
  at::Tensor squares;
  for (const at::Tensor& g : gradients) {
    if (!g.defined()) continue;
    const at::Tensor s = g.detach().flatten(1).square().sum(1);
    squares = squares.defined() ? squares + s : s;
  }
  return squares.defined() ? squares.sqrt().mean().item<double>() : 0;
}

void add_gradients(const std::vector<SeenSite>& seen, Signal& signal) {
  const at::Tensor& last = seen.back().readout;
  at::Tensor weights = at::empty(last.sizes(), at::kDouble);
  fill_normal(weights, 1, Random(0).split("cotangent"));
  std::vector<at::Tensor> points;
  for (const SeenSite& s : seen) points.insert(points.end(), s.streams.begin(), s.streams.end());
  const auto gradients = torch::autograd::grad({(last * weights.to(last)).sum()}, points, {},
                                               c10::nullopt, false, /*allow_unused=*/true);
  size_t at = 0;
  for (size_t i = 0; i < seen.size(); ++i) {
    const auto begin = gradients.begin() + static_cast<ptrdiff_t>(at);
    at += seen[i].streams.size();
    signal.sites[i].gradient =
        mean_sample_norm({begin, begin + static_cast<ptrdiff_t>(seen[i].streams.size())});
  }
}

double telescoping_error(const std::vector<SeenSite>& seen) {
  const at::Tensor& last = seen.back().readout;
  at::Tensor sum = at::zeros_like(last);
  size_t i = seen.size();
  while (i > 1 && !seen[i - 1].site.changes_shape()) {
    if (seen[i - 1].branch.defined()) sum = sum + seen[i - 1].branch;
    --i;
  }
  const at::Tensor first = seen[i - 1].readout;
  return ((last - first - sum).norm() / last.norm()).item<double>();
}

}  // namespace

ChannelMoments channel_moments(const at::Tensor& x) {
  const at::Tensor d = x.detach().to(at::kDouble);
  const int64_t channel = d.dim() == 4 ? 1 : d.dim() - 1;
  const at::Tensor rows = d.movedim(channel, 0).flatten(1);
  const at::Tensor mean = rows.mean(1);
  return {.mean = mean.mean().item<double>(),
          .squared_mean = mean.square().mean().item<double>(),
          .variance = rows.var(1, /*unbiased=*/false).mean().item<double>()};
}

Signal measure_signal(StreamModel& model, const at::Tensor& x, bool gradients) {
  const at::AutoGradMode mode(gradients);
  SignalWatch watch(model);
  model.forward(x);
  Signal signal{.input = channel_moments(watch.input), .sites = {}};
  for (const SeenSite& seen : watch.seen)
    signal.sites.push_back(
        {.site = seen.site,
         .stream = channel_moments(seen.readout),
         .branch = seen.branch.defined() ? channel_moments(seen.branch) : ChannelMoments{},
         .expected_variance = model.connection().expected_variance(seen.site)});
  if (gradients) add_gradients(watch.seen, signal);
  const at::NoGradGuard no_grad;
  signal.telescoping_error = telescoping_error(watch.seen);
  return signal;
}

}  // namespace residua
