#include "residua/train/tasks/language_modelling.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>
#include <numbers>

#include "residua/core/error.h"
#include "residua/data/batch_source.h"
#include "residua/train/tasks/classification.h"

namespace residua {

StepResult LanguageModellingTask::step(const Network& network, const Batch& batch,
                                       Phase phase) const {
  const at::Tensor logits = network.forward(batch.input);
  const at::Tensor& target = batch.target;
  if (logits.dim() != 3 || logits.size(0) != target.size(0) || logits.size(1) != target.size(1))
    throw Error(ErrorKind::shape,
                {.where = "language modelling",
                 .rule = "needs a row of logits for each token",
                 .expected = fmt::format("[{}, {}, vocabulary]", target.size(0), target.size(1)),
                 .received = fmt::format("{}", fmt::join(logits.sizes(), ", "))});
  const double smoothing = phase == Phase::train ? options_.label_smoothing : 0;
  const auto losses_of = [&](const at::Tensor& output) {
    return sample_cross_entropy(output.flatten(0, 1), target.flatten(), smoothing);
  };
  const at::Tensor losses = losses_of(logits).view(target.sizes()).mean(1);
  StepResult result;
  result.loss = losses.mean();
  result.output = logits.detach();
  const double loss = result.loss.item<double>();
  const double top1 = result.output.argmax(-1).eq(target).to(at::kFloat).mean().item<double>();
  result.metrics = {{"loss", loss}, {"bits_per_char", loss / std::numbers::ln2}, {"top1", top1}};
  if (phase == Phase::train)
    add_exits(
        network, [&](const at::Tensor& exit) { return losses_of(exit).mean(); }, result);
  add_extras(network, losses, result);
  return result;
}

Metrics LanguageModellingTask::derived(const Metrics& means) const {
  return {{"perplexity", std::exp(metric_value(means, "loss"))}};
}

}  // namespace residua
