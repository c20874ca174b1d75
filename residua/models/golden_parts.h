#pragma once
// Golden cards of parts that are no model of their own: connections and layers, built as the card's
// options say, and of models under other names than ours or with further outputs.

#include <map>
#include <string>

#include "residua/models/golden.h"

namespace residua {

using PartCheck = CardResult (*)(const GoldenCard& card);

// By the card's system.
const std::map<std::string, PartCheck>& golden_parts();

}  // namespace residua
