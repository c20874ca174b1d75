#include "residua/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace residua {

namespace {

// The rise, and the position in what follows it.
struct Position {
  double rise = 1;      // factor of the warm-up; 1 after it
  double progress = 0;  // 0 at the end of the warm-up, 1 at total_steps
};

Position locate(const Warmup& warmup, int64_t step, int64_t total_steps, int64_t steps_per_epoch) {
  const double length =
      warmup.epochs * static_cast<double>(steps_per_epoch) + static_cast<double>(warmup.steps);
  const double at =
      static_cast<double>(std::clamp<int64_t>(step, 0, std::max<int64_t>(total_steps - 1, 0)));
  if (at < length) return {warmup.start + (1 - warmup.start) * at / length, 0};
  const double rest = static_cast<double>(total_steps) - length;
  return {1, rest > 0 ? (at - length) / rest : 1};
}

double half_cosine(double from, double to, double progress) {
  return to + (from - to) * (1 + std::cos(std::numbers::pi * progress)) / 2;
}

double straight(double from, double to, double progress) { return from + (to - from) * progress; }

class ConstantSchedule final : public Schedule {
 public:
  explicit ConstantSchedule(ConstantScheduleOptions options) : options_(options) {}
  double factor(int64_t step, int64_t total_steps, int64_t steps_per_epoch) const override {
    return locate(options_.warmup, step, total_steps, steps_per_epoch).rise;
  }

 private:
  ConstantScheduleOptions options_;
};

class CosineSchedule final : public Schedule {
 public:
  explicit CosineSchedule(CosineScheduleOptions options) : options_(options) {}
  double factor(int64_t step, int64_t total_steps, int64_t steps_per_epoch) const override {
    const Position p = locate(options_.warmup, step, total_steps, steps_per_epoch);
    return p.rise * half_cosine(1, options_.min_factor, p.progress);
  }

 private:
  CosineScheduleOptions options_;
};

class LinearSchedule final : public Schedule {
 public:
  explicit LinearSchedule(LinearScheduleOptions options) : options_(options) {}
  double factor(int64_t step, int64_t total_steps, int64_t steps_per_epoch) const override {
    const Position p = locate(options_.warmup, step, total_steps, steps_per_epoch);
    return p.rise * straight(1, options_.min_factor, p.progress);
  }

 private:
  LinearScheduleOptions options_;
};

class StepSchedule final : public Schedule {
 public:
  explicit StepSchedule(StepScheduleOptions options) : options_(std::move(options)) {}
  double factor(int64_t step, int64_t total_steps, int64_t steps_per_epoch) const override {
    const int64_t epoch = std::min(step, std::max<int64_t>(total_steps - 1, 0)) /
                          std::max<int64_t>(steps_per_epoch, 1);
    const auto passed = std::count_if(options_.milestones.begin(), options_.milestones.end(),
                                      [&](int64_t milestone) { return epoch >= milestone; });
    return locate(options_.warmup, step, total_steps, steps_per_epoch).rise *
           std::pow(options_.gamma, static_cast<double>(passed));
  }

 private:
  StepScheduleOptions options_;
};

class OneCycleSchedule final : public Schedule {
 public:
  explicit OneCycleSchedule(OneCycleScheduleOptions options) : options_(options) {}
  double factor(int64_t step, int64_t total_steps, int64_t) const override {
    // The turning points are steps, so that the first step has the first factor and the last step
    // the last one.
    const double last = static_cast<double>(total_steps - 1);
    const double peak = std::max(options_.pct_start * static_cast<double>(total_steps) - 1, 0.0);
    const double at = std::clamp(static_cast<double>(step), 0.0, std::max(last, 0.0));
    const double first = 1 / options_.div, end = first / options_.final_div;
    const auto slope = options_.anneal == Anneal::cosine ? half_cosine : straight;
    if (at < peak) return slope(first, 1, at / peak);
    return last > peak ? slope(1, end, (at - peak) / (last - peak)) : 1;
  }

 private:
  OneCycleScheduleOptions options_;
};

template <class Product, class Options>
void add_schedule(Registry<Schedule>& table, RegistryInfo info) {
  table.add<Options>(std::move(info), {},
                     [](const Options& o) { return std::make_shared<Product>(o); });
}

}  // namespace

Registry<Schedule>& schedules() {
  static Registry<Schedule> table = [] {
    Registry<Schedule> t("schedule");
    add_schedule<ConstantSchedule, ConstantScheduleOptions>(
        t, {.name = "constant", .help = "one learning rate after the warm-up"});
    add_schedule<CosineSchedule, CosineScheduleOptions>(
        t, {.name = "cosine", .help = "warm-up, then half a cosine down"});
    add_schedule<LinearSchedule, LinearScheduleOptions>(
        t, {.name = "linear", .help = "warm-up, then a straight line down"});
    add_schedule<StepSchedule, StepScheduleOptions>(
        t, {.name = "step", .help = "falls by a factor at given epochs"});
    add_schedule<OneCycleSchedule, OneCycleScheduleOptions>(
        t, {.name = "onecycle", .help = "one rise and one fall over the run"});
    return t;
  }();
  return table;
}

}  // namespace residua
