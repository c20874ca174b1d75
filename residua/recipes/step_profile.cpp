#include "residua/recipes/step_profile.h"

#include <torch/torch.h>

#include <cmath>

#include "residua/models/stream_model.h"
#include "residua/nn/live_bytes.h"
#include "residua/train/device.h"

namespace residua {

namespace {

double norm_of_gradients(const std::vector<at::Tensor>& streams) {
  double squares = 0;
  for (const at::Tensor& stream : streams) {
    if (!stream.grad().defined()) continue;
    const double norm = stream.grad().norm().item<double>();
    squares += norm * norm;
  }
  return std::sqrt(squares);
}

// The streams after each site, which keep their gradients.
class KeptStreams {
 public:
  explicit KeptStreams(StreamModel& model) : model_(model) {
    model.visit_sites([this](const Site&, const State& state) {
      std::vector<at::Tensor>& here = streams_.emplace_back();
      for (const at::Tensor& stream : state.streams) {
        if (!stream.requires_grad()) continue;
        stream.retain_grad();
        here.push_back(stream);
      }
    });
  }
  ~KeptStreams() { model_.visit_sites({}); }
  KeptStreams(const KeptStreams&) = delete;
  KeptStreams& operator=(const KeptStreams&) = delete;

  std::vector<double> norms() const {
    std::vector<double> list;
    for (const auto& streams : streams_) list.push_back(norm_of_gradients(streams));
    return list;
  }

 private:
  StreamModel& model_;
  std::vector<std::vector<at::Tensor>> streams_;
};

}  // namespace

StepProfile profile_step(const Experiment& e) {
  const Network network = model_network(e.model);
  e.model->train();
  e.train->start(0);
  const Batch batch = to_device(std::move(*e.train->next()), parse_device(e.options.loop.device));
  torch::manual_seed(static_cast<uint64_t>(e.options.loop.seed));
  StepProfile profile;
  {
    const LiveBytes live;
    e.task->step(network, batch, Phase::train).loss.backward();
    profile.peak_bytes = live.peak();
  }
  if (auto* model = dynamic_cast<StreamModel*>(e.model.get())) {
    const KeptStreams kept(*model);
    e.task->step(network, batch, Phase::train).loss.backward();
    profile.gradient_norms = kept.norms();
  }
  return profile;
}

}  // namespace residua
