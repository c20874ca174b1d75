#pragma once
// Language modelling: softmax cross entropy of each next token.

#include "residua/train/task.h"

namespace residua {

struct LanguageModellingOptions {
  double label_smoothing = 0;  // in [0, 1): weight of the uniform distribution; training only
};

// Metrics: `loss` in nats a token, `bits_per_char` (loss / ln 2: tokens are characters or bytes),
// `top1`, the fraction of tokens that were the likeliest, and of means `perplexity`, exp(loss);
// then what the network adds.
class LanguageModellingTask final : public Task {
 public:
  explicit LanguageModellingTask(LanguageModellingOptions options = {}) : options_(options) {}

  // Throws ErrorKind::shape when the network does not give [N, T, vocabulary].
  StepResult step(const Network& network, const Batch& batch, Phase phase) const override;
  std::string best_metric() const override { return "loss"; }
  bool larger_is_better() const override { return false; }
  Metrics derived(const Metrics& means) const override;

 private:
  LanguageModellingOptions options_;
};

}  // namespace residua
