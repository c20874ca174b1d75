#pragma once
// The training loop.
//
//   Trainer trainer({.network = make_network(model), .task = task, .optimizer = optimizer,
//   .schedule = schedule,
//                    .train = train_loader, .test = test_loader}, {.epochs = 30, .seed = 1});
//   RunResult result = trainer.run();
//
// A run is a function of its parts and options: everything random in a step is drawn from the seed
// and the step's place in the run, so a run that was stopped and continued equals one that was not,
// to the bit on the CPU with as many threads.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "residua/optim/ema.h"
#include "residua/optim/optimizer.h"
#include "residua/optim/schedule.h"
#include "residua/train/checkpoint_store.h"
#include "residua/train/evaluate.h"
#include "residua/train/options.h"
#include "residua/train/precision.h"
#include "residua/train/recorder.h"
#include "residua/train/task.h"
#include "residua/train/train_state.h"

namespace residua {

class BatchSource;

struct TrainerParts {
  Network network;  // already on the device
  std::shared_ptr<const Task> task;
  std::shared_ptr<Optimizer> optimizer;
  std::shared_ptr<const Schedule> schedule;
  std::shared_ptr<BatchSource> train;
  std::shared_ptr<BatchSource> test = {};  // null: no evaluation

  std::vector<std::string> unclipped = {};  // shell patterns of the names that clip_agc leaves out
  std::shared_ptr<CheckpointStore> checkpoints = {};      // null: nothing is saved
  std::vector<std::shared_ptr<Recorder>> recorders = {};  // told in this order
  std::shared_ptr<EvaluationReview> review = {};
  std::function<bool()> stop = {};     // asked after every step; true: save and return
  Json configuration = {}, data = {};  // stored in every checkpoint
};

struct RunResult {
  bool finished = false;  // otherwise it was stopped
  int64_t step = 0, epoch = 0;
  Metrics test;  // of the last evaluation
  int64_t best_step = -1;
  double best_value = 0;
  double seconds = 0;
};

class Trainer {
 public:
  Trainer(TrainerParts parts, LoopOptions options);

  // Continues from the newest whole checkpoint; false when the store holds none. Throws
  // ErrorKind::invalid_argument, shape or not_found when it belongs to another model or another
  // run.
  bool resume();

  // Trains to the end or until `stop`. Throws Diverged (train/non_finite.h) for a loss, gradient or
  // weight that is not finite, naming the step, the learning rate and the first layer whose output
  // was not; nothing is saved then. With a `stop` request the step is finished and saved first; an
  // evaluation that it interrupts is done again on continuing.
  RunResult run();

  const TrainState& state() const { return state_; }

 private:
  bool train_epoch();                   // false: stopped
  bool finish_epoch();                  // false: stopped
  int64_t take_step();                  // samples seen
  int64_t take_batch(int64_t in_step);  // backward of one batch out of `in_step`; samples seen
  void apply_gradients();
  void report_step(int64_t samples);
  std::optional<Measured> evaluate_now();  // nothing: stopped
  void save(bool best);
  void restore(const Checkpoint& checkpoint);
  Json state_json() const;
  void record(const RunEvent& event);
  RunResult result(bool finished) const;
  Measured measured(const std::string& kind, Metrics means, double per_second) const;
  double lr_of(int64_t step) const;
  double seconds() const;
  bool stopping() const { return parts_.stop && parts_.stop(); }
  [[noreturn]] void not_finite(const std::string& what, const std::string& value,
                               const std::string& place) const;

  TrainerParts parts_;
  LoopOptions options_;
  at::Device device_;
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> agc_parameters_;  // those that clip_agc is for
  double peak_lr_;
  std::unique_ptr<Ema> ema_;
  LossScaler scaler_;
  TrainState state_;
  int64_t batches_per_epoch_, steps_per_epoch_, total_steps_;

  // Of this process, for speeds.
  double started_ = 0, recent_started_ = 0, epoch_started_ = 0;
  int64_t recent_units_ = 0, epoch_units_ = 0;
};

}  // namespace residua
