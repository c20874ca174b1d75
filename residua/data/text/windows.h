#pragma once
// Batches of stretches of a text, with the token that follows each of their tokens.

#include <memory>

#include "residua/core/random.h"
#include "residua/data/batch_source.h"
#include "residua/data/text/corpus.h"

namespace residua {

struct WindowOptions {
  int64_t batch_size = 32;
  int64_t context = 64;  // tokens of a window
};

// Random windows of the training text, `corpus.steps_per_epoch` batches an epoch.
class RandomWindows final : public BatchSource {
 public:
  // Throws ErrorKind::invalid_argument when the text is shorter than a window and its last target.
  RandomWindows(std::shared_ptr<const TextCorpus> corpus, const WindowOptions& options,
                Random random);

  void start(int64_t epoch, int64_t first_batch = 0) override;
  std::optional<Batch> next() override;
  int64_t batches_per_epoch() const override { return corpus_->steps_per_epoch; }
  int64_t samples() const override { return batches_per_epoch() * options_.batch_size; }
  std::string dataset_name() const override { return corpus_->name; }
  std::string unit() const override { return "tokens"; }
  int64_t units_per_sample() const override { return options_.context; }

 private:
  std::shared_ptr<const TextCorpus> corpus_;
  WindowOptions options_;
  Random random_;
  int64_t epoch_ = 0, batch_ = 0;
};

// The validation text in order, window beside window: every token but the first is predicted once,
// except those after the last whole window.
class WindowsInOrder final : public BatchSource {
 public:
  WindowsInOrder(std::shared_ptr<const TextCorpus> corpus, const WindowOptions& options);

  void start(int64_t epoch, int64_t first_batch = 0) override;
  std::optional<Batch> next() override;
  int64_t batches_per_epoch() const override;
  int64_t samples() const override;
  std::string dataset_name() const override { return corpus_->name; }
  std::string unit() const override { return "tokens"; }
  int64_t units_per_sample() const override { return options_.context; }

 private:
  std::shared_ptr<const TextCorpus> corpus_;
  WindowOptions options_;
  int64_t batch_ = 0;
};

}  // namespace residua
