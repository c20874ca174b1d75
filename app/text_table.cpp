#include "app/text_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "app/terminal.h"

namespace residua::app {

namespace {

// Three digits and a prefix.
std::string scaled(double value, std::span<const char* const> units) {
  if (!std::isfinite(value)) return "-";
  size_t at = 0;
  for (; at + 1 < units.size() && value >= 999.5; ++at) value /= 1000;
  const int digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}", value, digits, units[at]);
}

// Code points, which on these pages are columns too.
size_t columns_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

TextTable::TextTable(std::vector<std::string> titles) {
  for (std::string& title : titles) {
    left_.push_back(title.starts_with('<'));
    if (left_.back()) title.erase(0, 1);
  }
  rows_.push_back(std::move(titles));
}

void TextTable::add(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::string TextTable::text(bool colours) const {
  std::vector<size_t> widths(left_.size(), 0);
  for (const auto& row : rows_)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i]));
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - columns_of(row[i]), ' ');
      line += (i == 0 ? "" : "  ") + (left_[i] ? row[i] + space : space + row[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += (&row == rows_.data() ? bold(line, colours) : line) + "\n";
  }
  return text;
}

std::string time_text(double seconds) {
  constexpr std::array units{"us", "ms", "s"};
  return scaled(1e6 * seconds, units);
}

std::string bytes_text(double bytes) {
  constexpr std::array units{"B", "kB", "MB", "GB", "TB"};
  return scaled(bytes, units);
}

std::string count_text(double count) {
  constexpr std::array units{"", "k", "M", "G", "T"};
  return scaled(count, units);
}

}  // namespace residua::app
