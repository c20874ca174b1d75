#include "residua/core/progress_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace residua {

std::string duration_text(double seconds) {
  const auto s = static_cast<int64_t>(std::llround(std::max(0.0, seconds)));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

std::string bar_text(double part, int64_t columns) {
  const auto filled = static_cast<int64_t>(part * static_cast<double>(columns));
  std::string bar(static_cast<size_t>(filled), '=');
  if (filled < columns) bar += '>';
  bar.resize(static_cast<size_t>(columns), ' ');
  return bar;
}

}  // namespace residua
