#pragma once
// What happens in a run, told to whoever listens: progress display, logs, report.

#include <cstdint>
#include <string>
#include <variant>

#include "residua/core/json.h"
#include "residua/train/metrics/running_mean.h"

namespace residua {

// Steps are optimiser steps; they and epochs count from 1 in events: "after step 1 of epoch 1".
struct RunStarted {
  int64_t epochs = 0, total_steps = 0, steps_per_epoch = 0;
  int64_t first_step = 0;       // steps taken before, by the run that is continued
  std::string unit = "images";  // what speed is counted in
};

struct StepDone {
  int64_t step = 0, epoch = 0;
  int64_t units = 0;  // in this step: images, or tokens
  double lr = 0;
  Metrics epoch_means;  // since the epoch began
};

// Means over a stretch of the run.
struct Measured {
  std::string
      kind;  // "train": the last steps; "epoch": a whole epoch of training; "test": an evaluation
  int64_t step = 0, epoch = 0;
  double lr = 0;
  Metrics metrics;
  double per_second = 0;  // of units
  double seconds = 0;     // of training so far, summed over the processes of the run
  std::string unit = "images";
};

struct CheckpointSaved {
  int64_t step = 0;
  std::string path;
  bool best = false;
};

struct RunEnded {
  int64_t step = 0;
  bool finished = false;  // otherwise interrupted
};

using RunEvent = std::variant<RunStarted, StepDone, Measured, CheckpointSaved, RunEnded>;

class Recorder {
 public:
  virtual ~Recorder() = default;
  virtual void record(const RunEvent& event) = 0;
  // Makes durable what was recorded and says how to return to this point; null when nothing is
  // kept.
  virtual Json position() = 0;
  // Forgets what was recorded after `position`; null: everything.
  virtual void rewind(const Json& position) = 0;
};

}  // namespace residua
