#include "app/training/reproduce_display.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <utility>

#include "residua/train/progress.h"

namespace residua::app {

namespace {

constexpr double kSecondsBetweenDraws = 0.2;

double display_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string job_text(const ReproduceEvent& e) {
  return fmt::format("[{}/{}] {} {}, seed {}", e.number, e.total, e.slug, e.job, e.seed);
}

}  // namespace

void ReproduceDisplay::show(const ReproduceEvent& e) {
  left_.add(e);
  switch (e.kind) {
    case ReproduceEvent::started:
      began_ = display_clock();
      if (terminal_) redraw(e);
      return;
    case ReproduceEvent::progress:
      if (terminal_ && display_clock() - shown_ > kSecondsBetweenDraws) redraw(e);
      return;
    case ReproduceEvent::cached: return print(job_text(e) + ": known");
    case ReproduceEvent::failed: return print(fmt::format("{}: FAILED: {}", job_text(e), e.reason));
    case ReproduceEvent::finished: break;
  }
  const double left = left_.seconds(0, 0);
  print(fmt::format("{}: {:.1f} s{}", job_text(e), e.seconds,
                    left > 0.5 ? ", left " + duration_text(left) : ""));
}

void ReproduceDisplay::redraw(const ReproduceEvent& e) {
  shown_ = display_clock();
  const double left = left_.seconds(shown_ - began_, e.fraction);
  fmt::print(stderr, "\r\x1b[K{}: {:3.0f}%{}", job_text(e), 100 * e.fraction,
             left > 0.5 ? "  left " + duration_text(left) : "");
  std::fflush(stderr);
  line_open_ = true;
}

void ReproduceDisplay::print(const std::string& line) {
  if (std::exchange(line_open_, false)) fmt::print(stderr, "\r\x1b[K");
  fmt::print(stderr, "{}\n", line);
  std::fflush(stderr);
}

}  // namespace residua::app
