#pragma once
// A benchmark on the terminal.

#include <string>
#include <vector>

#include "residua/runtime/bench.h"
#include "residua/runtime/roofs.h"

namespace residua::app {

std::string variants_text(const std::vector<BenchResult>& results, bool colours);
std::string roofs_text(const Roofs& roofs);

// All layers in their order, or the `most` that take the most time.
std::string layers_text(const BenchResult& result, const Roofs& roofs, size_t most, bool colours);

}  // namespace residua::app
