#pragma once
// Words of progress displays.

#include <cstdint>
#include <string>

namespace residua {

// 65 -> "1:05", 3725 -> "1:02:05".
std::string duration_text(double seconds);

// "=====>    " for a part in [0, 1].
std::string bar_text(double part, int64_t columns);

}  // namespace residua
