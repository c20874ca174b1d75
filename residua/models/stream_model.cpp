#include "residua/models/stream_model.h"

#include <torch/torch.h>

namespace residua {

void StreamModel::connect(const Component& connection, Carrier carrier, const Random& random) {
  carrier_ = std::move(carrier);
  carrier_.sites = numbered(std::move(carrier_.sites));
  for (size_t i = 0; i < carrier_.sites.size(); ++i)
    carrier_.sites[i].branch = static_cast<int64_t>(i);
  connection_ = connections().create(connection, carrier_, random.split("connection"));
  schedule_ = numbered(connection_->schedule(carrier_.sites));
  // Also one without parameters: it has to be told of training and evaluation.
  register_module("connection", connection_);
}

void StreamModel::built(int64_t branch, torch::nn::Module& module, const Random& random) {
  connection_->init(site_of(branch), module, random.split("init"));
}

bool StreamModel::runs(int64_t branch) const {
  return std::any_of(schedule_.begin(), schedule_.end(),
                     [branch](const Site& site) { return site.branch == branch; });
}

at::Tensor StreamModel::run(const at::Tensor& x0, StreamParts parts) {
  if (visit_ && parts.visit) {
    parts.visit = [first = parts.visit, this](const Site& site, const State& state) {
      first(site, state);
      visit_(site, state);
    };
  } else if (visit_) {
    parts.visit = visit_;
  }
  if (!silent_.empty()) {
    parts.fused = {};
    parts.branch = [branch = parts.branch, this](const Site& site, const at::Tensor& input,
                                                 State& state) {
      const at::Tensor y = branch(site, input, state);
      return silent_.contains(site.branch) ? at::zeros_like(y) : y;
    };
  }
  parts.watch = watch_;
  parts.memory = memory_.get();
  State state = run_stream(*connection_, x0, parts);
  at::Tensor y = connection_->finish(state);
  last_ = {};
  if (connection_->has_extras() || !state.losses.empty()) last_ = std::move(state);
  return y;
}

std::vector<Exit> StreamModel::exits() {
  std::vector<Exit> all;
  for (const StreamExit& exit : connection_->exits(last_))
    all.push_back({exit.output, exit.weight});
  return all;
}

Extras StreamModel::extras(const at::Tensor& sample_losses) {
  if (last_.streams.empty()) return {};
  const State state = std::move(last_);
  last_ = {};
  Extras extras;
  if (connection_->has_extras())
    extras = {connection_->penalty(state, sample_losses), connection_->metrics(state)};
  for (const auto& [name, loss] : state.losses) {
    extras.penalty = extras.penalty.defined() ? extras.penalty + loss : loss;
    extras.values.emplace_back(name, loss.item<double>());
  }
  return extras;
}

}  // namespace residua
