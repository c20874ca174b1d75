#include "residua/analysis/cost.h"

#include <torch/torch.h>

#include <cmath>
#include <sstream>
#include <unordered_map>

#include "residua/nn/layer.h"
#include "residua/nn/observe.h"

namespace residua {

namespace {

int64_t own_parameters(const torch::nn::Module& layer) {
  int64_t count = 0;
  for (const at::Tensor& p : layer.parameters(/*recurse=*/false)) count += p.numel();
  return count;
}

std::string described(const torch::nn::Module& layer) {
  std::ostringstream text;
  text << layer;
  return text.str();
}

// Collects a row for each layer that runs while it lives.
class CostRows {
 public:
  explicit CostRows(const torch::nn::Module& model)
      : observer_([this](const auto& layer, const auto& x, const auto& y) { add(layer, x, y); }) {
    for (const auto& entry : model.named_modules("", /*include_self=*/false))
      names_.emplace(entry.value().get(), entry.key());
  }

  std::vector<LayerCost> rows;

 private:
  void add(const torch::nn::Module& layer, const at::Tensor& input, const at::Tensor& output) {
    LayerCost row{.name = {},
                  .type = described(layer),
                  .input = input.sizes().vec(),
                  .output = output.sizes().vec()};
    if (const auto found = names_.find(&layer); found != names_.end()) row.name = found->second;
    if (seen_[&layer]++ == 0) row.parameters = own_parameters(layer);
    if (const auto* counts = dynamic_cast<const CountsMacs*>(&layer))
      row.macs = counts->macs(input, output);
    row.activation_bytes = static_cast<int64_t>(output.nbytes());
    rows.push_back(std::move(row));
  }

  std::unordered_map<const torch::nn::Module*, std::string> names_;
  std::unordered_map<const torch::nn::Module*, int> seen_;
  ForwardObserver observer_;
};

// Puts a module into evaluation mode for a while; afterwards each part is in the mode it was in.
class EvaluationMode {
 public:
  explicit EvaluationMode(torch::nn::Module& module)
      : parts_(module.modules(/*include_self=*/false)), root_(module) {
    modes_.push_back(module.is_training());
    for (const auto& part : parts_) modes_.push_back(part->is_training());
    module.eval();
  }
  ~EvaluationMode() {  // from the root down, because `train` is recursive
    root_.train(modes_.front());
    for (size_t i = 0; i < parts_.size(); ++i) parts_[i]->train(modes_[i + 1]);
  }

 private:
  std::vector<std::shared_ptr<torch::nn::Module>> parts_;
  torch::nn::Module& root_;
  std::vector<bool> modes_;
};

}  // namespace

ModelCost measure_cost(Model& model, const Shape& input) {
  const at::NoGradGuard no_grad;
  const EvaluationMode evaluation(model);
  ModelCost cost;
  cost.batch = input.empty() ? 0 : input.front();
  for (const at::Tensor& p : model.parameters()) {
    cost.parameters += p.numel();
    cost.parameter_bytes += static_cast<int64_t>(p.nbytes());
  }
  for (const at::Tensor& b : model.buffers()) {
    cost.buffers += b.numel();
    cost.buffer_bytes += static_cast<int64_t>(b.nbytes());
  }
  CostRows observed(model);
  auto kind = model.parameters().front().options().requires_grad(false);
  if (model.info().takes_tokens()) kind = kind.dtype(at::kLong);
  model.forward(at::zeros(input, kind));
  cost.layers = std::move(observed.rows);
  for (const LayerCost& layer : cost.layers) {
    cost.macs += layer.macs;
    cost.activation_bytes += layer.activation_bytes;
  }
  return cost;
}

TrainingMemory estimate_training_memory(const ModelCost& cost, const TrainingMemoryOptions& o) {
  const double batches =
      static_cast<double>(o.batch_size) / static_cast<double>(std::max<int64_t>(1, cost.batch));
  const double activations =
      batches * o.activation_scale * static_cast<double>(cost.activation_bytes);
  return {.weights = cost.parameter_bytes + cost.buffer_bytes,
          .gradients = cost.parameter_bytes,
          .optimizer = cost.parameter_bytes * o.optimizer_values,
          .ema = o.ema ? cost.parameter_bytes + cost.buffer_bytes : 0,
          .activations = std::llround(activations)};
}

}  // namespace residua
