#include "residua/train/evaluate.h"

#include <torch/torch.h>

#include <algorithm>
#include <iterator>

#include "residua/core/error.h"
#include "residua/data/batch_source.h"
#include "residua/train/device.h"
#include "residua/train/precision.h"

namespace residua {

namespace {

// Evaluation mode while it lives.
class EvaluationMode {
 public:
  explicit EvaluationMode(torch::nn::Module& module)
      : module_(module), was_training_(module.is_training()) {
    module_.eval();
  }
  ~EvaluationMode() { module_.train(was_training_); }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  torch::nn::Module& module_;
  bool was_training_;
};

}  // namespace

std::optional<Metrics> evaluate(const Network& network, const Task& task, BatchSource& source,
                                const EvaluateOptions& options, EvaluationReview* review,
                                const std::function<bool()>& stop) {
  const EvaluationMode mode(*network.module);
  const torch::NoGradGuard no_grad;
  const at::Device device = parse_device(options.device);
  RunningMeans means;
  if (review != nullptr) review->begin();
  source.start(0);
  while (std::optional<Batch> next = source.next()) {
    if (stop && stop()) return std::nullopt;
    const Batch batch = to_device(std::move(*next), device);
    const AutocastScope autocast(options.amp, device);
    const StepResult result = task.step(network, batch, Phase::test);
    means.add(result.metrics, static_cast<double>(batch.size()));
    if (review != nullptr) review->add(batch, result);
  }
  if (means.empty())
    throw Error(ErrorKind::corrupt_file,
                {.where = source.dataset_name(), .rule = "holds no sample that can be read"});
  if (review != nullptr) review->end();
  Metrics metrics = means.means();
  std::ranges::move(task.derived(metrics), std::back_inserter(metrics));
  return metrics;
}

}  // namespace residua
