#include "residua/recipes/step_timer.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace residua {

namespace {

constexpr size_t kTimesKept = 1024;

double step_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

StepTimer::StepTimer() : StepTimer(step_clock) {}

StepTimer::StepTimer(Clock clock) : clock_(std::move(clock)) {}

void StepTimer::record(const RunEvent& event) {
  const double now = clock_();
  if (std::holds_alternative<StepDone>(event)) add(now - last_);
  last_ = now;
}

void StepTimer::add(double seconds) {
  seconds_ += seconds;
  if (counted_++ % stride_ != 0) return;
  times_.push_back(seconds);
  if (times_.size() < kTimesKept) return;
  for (size_t i = 0; 2 * i < times_.size(); ++i) times_[i] = times_[2 * i];
  times_.resize(kTimesKept / 2);
  stride_ *= 2;
}

Json StepTimer::position() {
  return {{"seconds", seconds_}, {"times", times_}, {"stride", stride_}, {"counted", counted_}};
}

void StepTimer::rewind(const Json& position) {
  const bool none = position.is_null();
  seconds_ = none ? 0 : position.at("seconds").get<double>();
  times_ = none ? std::vector<double>() : position.at("times").get<std::vector<double>>();
  stride_ = none ? 1 : position.at("stride").get<int64_t>();
  counted_ = none ? 0 : position.at("counted").get<int64_t>();
}

double StepTimer::median() const {
  if (times_.empty()) return std::nan("");
  std::vector<double> sorted = times_;
  std::sort(sorted.begin(), sorted.end());
  const size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

}  // namespace residua
