#pragma once
// A pass over a dataset without learning.

#include <functional>
#include <optional>

#include "residua/train/options.h"
#include "residua/train/task.h"

namespace residua {

class BatchSource;

// Sees every batch of an evaluation; what it keeps of it is its own affair.
class EvaluationReview {
 public:
  virtual ~EvaluationReview() = default;
  virtual void begin() = 0;
  virtual void add(const Batch& batch, const StepResult& result) = 0;
  virtual void end() = 0;  // not called when the evaluation was stopped
};

struct EvaluateOptions {
  std::string device = "cpu";
  Amp amp = Amp::off;
};

// Means over all samples, and what the task derives from them; the network is in evaluation mode
// meanwhile and in its former mode after. Nothing when `stop` said so. Throws
// ErrorKind::corrupt_file when not one sample could be read.
std::optional<Metrics> evaluate(const Network& network, const Task& task, BatchSource& source,
                                const EvaluateOptions& options, EvaluationReview* review = nullptr,
                                const std::function<bool()>& stop = {});

}  // namespace residua
