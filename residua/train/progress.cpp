#include "residua/train/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace residua {

namespace {

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string metrics_text(const Metrics& metrics) {
  std::string text;
  for (const Metric& m : metrics) text += "  " + metric_text(m);
  return text;
}

// "img" of images, "tok" of tokens.
std::string short_unit(const std::string& unit) {
  return unit == "images" ? "img" : unit.substr(0, 3);
}

}  // namespace

std::string metric_text(const Metric& metric) {
  if (metric.name.starts_with("top"))
    return fmt::format("{} {:.2f} %", metric.name, 100 * metric.value);
  return fmt::format("{} {:.4f}", metric.name, metric.value);
}

ProgressDisplay::ProgressDisplay(Write write, ProgressOptions options, Clock clock)
    : write_(std::move(write)), options_(options), clock_(std::move(clock)) {}

ProgressDisplay::ProgressDisplay(Write write, ProgressOptions options)
    : ProgressDisplay(std::move(write), options, monotonic_seconds) {}

void ProgressDisplay::record(const RunEvent& event) {
  if (const auto* e = std::get_if<RunStarted>(&event)) started(*e);
  if (const auto* e = std::get_if<StepDone>(&event)) step(*e);
  if (const auto* e = std::get_if<Measured>(&event)) measured(*e);
  if (const auto* e = std::get_if<RunEnded>(&event); e != nullptr && !e->finished)
    print(fmt::format("interrupted after step {}; saved", e->step));
}

void ProgressDisplay::started(const RunStarted& event) {
  run_ = event;
  start_ = shown_ = last_step_ = clock_();
  if (event.first_step > 0)
    print(fmt::format("continuing after step {} of {}", event.first_step, event.total_steps));
}

void ProgressDisplay::step(const StepDone& event) {
  const double now = clock_();
  const double rate = static_cast<double>(event.units) / std::max(now - last_step_, 1e-9);
  const bool first = event.step == run_.first_step + 1;
  per_second_ = first ? rate : 0.9 * per_second_ + 0.1 * rate;
  last_step_ = now;
  if (now - shown_ < (options_.terminal ? options_.redraw_every : options_.plain_every)) return;
  shown_ = now;
  if (!options_.terminal) return print(line(event));
  std::string text = line(event);
  if (static_cast<int64_t>(text.size()) >= options_.width)
    text.resize(static_cast<size_t>(std::max<int64_t>(0, options_.width - 1)));
  write_("\r\x1b[K" + text);
  line_open_ = true;
}

void ProgressDisplay::measured(const Measured& event) {
  if (event.kind == "epoch")
    print(fmt::format("epoch {}/{}{}  lr {:.4g}  {:.0f} {}/s  left {}", event.epoch, run_.epochs,
                      metrics_text(event.metrics), event.lr, event.per_second,
                      short_unit(run_.unit), time_left(event.step)));
  if (event.kind == "test")
    print(fmt::format("  test after epoch {}{}", event.epoch, metrics_text(event.metrics)));
  last_step_ = clock_();
}

std::string ProgressDisplay::time_left(int64_t step) const {
  const auto done = static_cast<double>(std::max<int64_t>(1, step - run_.first_step));
  const auto remaining = static_cast<double>(run_.total_steps - step);
  return duration_text((clock_() - start_) / done * remaining);
}

std::string ProgressDisplay::line(const StepDone& event) const {
  const int64_t in_epoch = event.step - (event.epoch - 1) * run_.steps_per_epoch;
  const double part =
      std::clamp(static_cast<double>(in_epoch) /
                     static_cast<double>(std::max<int64_t>(1, run_.steps_per_epoch)),
                 0.0, 1.0);
  const std::string bar =
      options_.terminal
          ? fmt::format(" [{}]", bar_text(part, std::clamp<int64_t>(options_.width - 80, 10, 40)))
          : "";
  return fmt::format("epoch {}/{}{} {:3.0f}%{}  lr {:.4g}  {:.0f} {}/s  left {}", event.epoch,
                     run_.epochs, bar, 100 * part, metrics_text(event.epoch_means), event.lr,
                     per_second_, short_unit(run_.unit), time_left(event.step));
}

void ProgressDisplay::print(const std::string& text) {
  if (std::exchange(line_open_, false)) write_("\r\x1b[K");
  write_(text + "\n");
}

}  // namespace residua
