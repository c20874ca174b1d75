#pragma once
// What a person sees of a run: one line that is redrawn on a terminal, plain lines elsewhere.
//
//   epoch 3/30 [=======>            ]  36%  loss 0.4213  top1 87.3 %  lr 0.0941  812 img/s  left
//   1:04
//
// Nothing is printed here: finished text goes to `write`.

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "residua/core/progress_text.h"
#include "residua/train/recorder.h"

namespace residua {

struct ProgressOptions {
  bool terminal = false;
  int64_t width = 100;        // columns of the terminal
  double plain_every = 10;    // seconds between plain lines within an epoch
  double redraw_every = 0.1;  // seconds between redrawn lines
};

class ProgressDisplay final : public Recorder {
 public:
  using Write = std::function<void(std::string_view)>;
  using Clock = std::function<double()>;  // seconds, monotonic

  ProgressDisplay(Write write, ProgressOptions options, Clock clock);
  ProgressDisplay(Write write, ProgressOptions options);

  void record(const RunEvent& event) override;
  Json position() override { return nullptr; }
  void rewind(const Json&) override {}

 private:
  void started(const RunStarted& event);
  void step(const StepDone& event);
  void measured(const Measured& event);
  std::string line(const StepDone& event) const;
  std::string time_left(int64_t step) const;
  void print(const std::string& text);  // a line that stays

  Write write_;
  ProgressOptions options_;
  Clock clock_;
  RunStarted run_;
  double start_ = 0, shown_ = 0, last_step_ = 0;  // times
  double per_second_ = 0;                         // smoothed
  bool line_open_ = false;                        // a redrawn line stands on the terminal
};

// "loss 0.4213", "top1 87.30 %".
std::string metric_text(const Metric& metric);

}  // namespace residua
