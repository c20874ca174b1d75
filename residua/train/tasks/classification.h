#pragma once
// Image classification: softmax cross entropy on class indices or on soft targets (mixup, cutmix),
// with label smoothing (Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7).

#include "residua/train/task.h"

namespace residua {

struct ClassificationOptions {
  double label_smoothing =
      0;  // in [0, 1): weight of the uniform distribution in the target; training only
};

// Metrics: `loss`, and `top1`, `top5` as fractions in [0, 1] of `Batch::label` (top5 with six
// classes or more); then what the network adds, `penalty` among it where it adds to the loss.
class ClassificationTask final : public Task {
 public:
  explicit ClassificationTask(ClassificationOptions options = {}) : options_(options) {}

  // Throws ErrorKind::shape when the network does not give [N, classes],
  // ErrorKind::invalid_argument for a label that is not one of them.
  StepResult step(const Network& network, const Batch& batch, Phase phase) const override;
  std::string best_metric() const override { return "top1"; }

 private:
  ClassificationOptions options_;
};

// For each row of the batch -sum_c t_c log softmax(logits)_c, where t is the target (int64 [N] or
// float [N, classes]) mixed with the uniform distribution: t (1 - smoothing) + smoothing / classes.
// Computed in float32. [N]
at::Tensor sample_cross_entropy(const at::Tensor& logits, const at::Tensor& target,
                                double smoothing);

// Its mean.
at::Tensor soft_cross_entropy(const at::Tensor& logits, const at::Tensor& target, double smoothing);

// Fraction of rows whose label is among the k largest logits. Of equal logits the lower index comes
// first; a logit that is not finite never counts as found.
double top_k_accuracy(const at::Tensor& logits, const at::Tensor& label, int64_t k);

}  // namespace residua
