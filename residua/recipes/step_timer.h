#pragma once
// How long the optimiser steps of a run take, without evaluations and saving; goes on counting in a
// run that is continued.

#include <functional>
#include <vector>

#include "residua/train/recorder.h"

namespace residua {

class StepTimer final : public Recorder {
 public:
  using Clock = std::function<double()>;  // seconds, monotonic
  StepTimer();
  explicit StepTimer(Clock clock);

  void record(const RunEvent& event) override;
  Json position() override;
  void rewind(const Json& position) override;

  double seconds() const { return seconds_; }  // of all steps
  double median() const;                       // of one step; NaN before the first

 private:
  void add(double seconds);

  Clock clock_;
  double last_ = 0, seconds_ = 0;
  std::vector<double> times_;         // of every `stride_`-th step
  int64_t stride_ = 1, counted_ = 0;  // of steps
};

}  // namespace residua
