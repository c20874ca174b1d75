#pragma once
// The template half of error.h.

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "residua/core/error.h"

namespace residua {

std::string format_nearest(std::vector<std::pair<size_t, std::string>> scored);

template <class Range>
std::string nearest_names_hint(std::string_view name, const Range& candidates) {
  std::vector<std::pair<size_t, std::string>> scored;
  for (const auto& candidate : candidates) {
    const std::string_view other(candidate);
    const size_t distance = edit_distance(name, other);
    const size_t allowed = name.size() <= 3 ? 1 : std::max<size_t>(2, name.size() / 3);
    const bool contains = name.size() >= 3 && other.find(name) != std::string_view::npos;
    if (distance <= allowed || contains) scored.emplace_back(distance, std::string(other));
  }
  return format_nearest(std::move(scored));
}

}  // namespace residua
