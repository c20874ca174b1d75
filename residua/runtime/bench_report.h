#pragma once
// What a benchmark found, as JSON and as a page that is complete in itself.

#include <string>
#include <string_view>
#include <vector>

#include "residua/core/json.h"
#include "residua/runtime/bench.h"
#include "residua/runtime/roofs.h"

namespace residua {

// Seconds, bytes and operations, unrounded; each layer with its roof (operations a second).
// `machine` is an object: what the page shows of the machine by name, "processor" among it.
Json bench_to_json(const std::vector<BenchResult>& results, const BenchOptions& options,
                   const Roofs& roofs, const Json& machine);

// The page of web/bench with what bench_to_json gave.
std::string bench_page(const std::string& title, const Json& bench);

// The bundled page, made at build time (cmake/ResiduaWeb.cmake), with the marks {{title}} and
// {{data}}.
std::string_view bench_template();

}  // namespace residua
