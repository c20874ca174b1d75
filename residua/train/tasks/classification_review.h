#pragma once
// What an evaluation of a classifier shows beyond its means: which class was taken for which, and
// on which images.

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "residua/train/evaluate.h"
#include "residua/train/metrics/confusion.h"

namespace residua {

struct Prediction {
  int64_t index = 0;  // into the dataset
  int64_t label = 0;
  std::vector<std::pair<int64_t, double>> top;  // class and probability, best first, up to five

  int64_t predicted() const { return top.front().first; }
};

// Class and probability of the `k` largest of a row of logits (float32, CPU); of equal ones the
// lower class first.
std::vector<std::pair<int64_t, double>> top_classes(const at::Tensor& logits, int64_t k);

struct ClassificationFindings {
  ConfusionMatrix confusion;
  std::vector<Prediction> samples;   // spread evenly over the dataset, in its order
  std::vector<Prediction> mistakes;  // the surest wrong ones, surest first
};

class ClassificationReview final : public EvaluationReview {
 public:
  // `images` in the dataset; `shown` of samples and of mistakes at most.
  ClassificationReview(int64_t classes, int64_t images, int64_t shown = 24);

  void begin() override;
  void add(const Batch& batch, const StepResult& result) override;
  void end() override;

  // Of the last evaluation that was not stopped.
  const std::optional<ClassificationFindings>& findings() const { return findings_; }

 private:
  void add_mistake(Prediction prediction);

  int64_t classes_, stride_;
  size_t shown_;
  ClassificationFindings current_;
  std::optional<ClassificationFindings> findings_;
};

}  // namespace residua
