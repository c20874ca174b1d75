#pragma once
// Where a run stands, between two optimiser steps.

#include <cstdint>

#include "residua/core/json.h"
#include "residua/train/metrics/running_mean.h"

namespace residua {

struct TrainState {
  int64_t epoch = 0;                       // complete ones
  int64_t batch = 0;                       // the next of the current epoch
  int64_t step = 0;                        // optimiser steps taken
  RunningMeans epoch_means, recent_means;  // since the epoch, since the last line of the log
  Metrics test;                            // of the last evaluation
  int64_t best_step = -1;                  // -1: none yet
  double best_value = 0;
  double seconds = 0;  // of all processes of the run

  Json to_json() const;
  static TrainState from_json(const Json& json);  // to the same bits
};

}  // namespace residua
