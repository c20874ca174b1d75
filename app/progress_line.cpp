#include "app/progress_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "residua/core/progress_text.h"

namespace residua::app {

namespace {

constexpr double kRedrawSeconds = 0.1, kPlainSeconds = 10, kQuietSeconds = 1;

double line_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

ProgressLine::ProgressLine(int64_t total, std::string unit)
    : total_(total),
      unit_(std::move(unit)),
      terminal_(isatty(STDERR_FILENO) == 1),
      begin_(line_clock()),
      shown_(begin_) {}

ProgressLine::~ProgressLine() {
  if (!open_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
}

void ProgressLine::show(int64_t done) {
  const double now = line_clock(), spent = now - begin_;
  if (done <= 0 || done >= total_ || spent < kQuietSeconds) return;
  if (now - shown_ < (terminal_ ? kRedrawSeconds : kPlainSeconds)) return;
  shown_ = now;
  const double part = static_cast<double>(done) / static_cast<double>(total_);
  const std::string text =
      fmt::format("{:3.0f}%  {}/{} {}  {:.4g} {}/s  left {}", 100 * part, done, total_, unit_,
                  static_cast<double>(done) / spent, unit_, duration_text(spent / part - spent));
  if (terminal_)
    fmt::print(stderr, "\r\x1b[K[{}] {}", bar_text(part, 24), text);
  else
    fmt::print(stderr, "{}\n", text);
  std::fflush(stderr);
  open_ = terminal_;
}

}  // namespace residua::app
