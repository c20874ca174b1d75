#include "residua/train/tasks/classification.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include "residua/core/error.h"
#include "residua/data/batch_source.h"

namespace residua {

namespace {

void check_logits(const at::Tensor& logits, const Batch& batch) {
  if (logits.dim() != 2 || logits.size(0) != batch.size())
    throw Error(ErrorKind::shape, {.where = "classification",
                                   .rule = "needs one row of logits for each image",
                                   .expected = fmt::format("[{}, classes]", batch.size()),
                                   .received = fmt::format("{}", fmt::join(logits.sizes(), ", "))});
  const int64_t classes = logits.size(1);
  if (batch.target.dim() == 2 && batch.target.size(1) != classes)
    throw Error(ErrorKind::shape, {.where = "classification",
                                   .rule = "the model and the data differ in the number of classes",
                                   .expected = std::to_string(batch.target.size(1)),
                                   .received = std::to_string(classes)});
  if (batch.size() == 0) return;
  const int64_t low = batch.label.min().item<int64_t>(), high = batch.label.max().item<int64_t>();
  if (low < 0 || high >= classes)
    throw Error(ErrorKind::invalid_argument, {.where = "classification",
                                              .rule = "a label is not one of the model's classes",
                                              .expected = fmt::format("0 to {}", classes - 1),
                                              .received = std::to_string(low < 0 ? low : high)});
}

}  // namespace

at::Tensor sample_cross_entropy(const at::Tensor& logits, const at::Tensor& target,
                                double smoothing) {
  const at::Tensor log_p = torch::log_softmax(logits, 1, at::kFloat);
  const at::Tensor of_target =
      target.dim() == 1 ? log_p.gather(1, target.unsqueeze(1)).squeeze(1) : (log_p * target).sum(1);
  if (smoothing == 0) return -of_target;
  return -(of_target * (1 - smoothing) + log_p.mean(1) * smoothing);
}

at::Tensor soft_cross_entropy(const at::Tensor& logits, const at::Tensor& target,
                              double smoothing) {
  return sample_cross_entropy(logits, target, smoothing).mean();
}

double top_k_accuracy(const at::Tensor& logits, const at::Tensor& label, int64_t k) {
  const at::Tensor own = logits.gather(1, label.unsqueeze(1));
  const at::Tensor index = torch::arange(logits.size(1), label.options()).unsqueeze(0);
  const at::Tensor behind =
      logits.lt(own).logical_or(logits.eq(own).logical_and(index.ge(label.unsqueeze(1))));
  // All that is not behind is ahead, so that a row of NaN is missed.
  const at::Tensor ahead = behind.logical_not().sum(1);
  return ahead.lt(k).to(at::kDouble).mean().item<double>();
}

StepResult ClassificationTask::step(const Network& network, const Batch& batch, Phase phase) const {
  const at::Tensor logits = network.forward(batch.input);
  check_logits(logits, batch);
  StepResult result;
  const double smoothing = phase == Phase::train ? options_.label_smoothing : 0;
  const at::Tensor losses = sample_cross_entropy(logits, batch.target, smoothing);
  result.loss = losses.mean();
  result.output = logits.detach().to(at::kFloat);
  result.metrics = {{"loss", result.loss.item<double>()},
                    {"top1", top_k_accuracy(result.output, batch.label, 1)}};
  if (logits.size(1) > 5)
    result.metrics.push_back({"top5", top_k_accuracy(result.output, batch.label, 5)});
  if (phase == Phase::train)
    add_exits(
        network,
        [&](const at::Tensor& exit) { return soft_cross_entropy(exit, batch.target, smoothing); },
        result);
  add_extras(network, losses, result);
  return result;
}

}  // namespace residua
