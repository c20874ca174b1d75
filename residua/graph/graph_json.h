#pragma once
// The JSON half of a graph's file form (internal to graph).

#include <vector>

#include "residua/core/json.h"
#include "residua/graph/graph.h"

namespace residua {

inline constexpr int kMaxGraphDepth = 8;  // levels of JSON; the form itself has six

struct GraphJson {
  Graph graph;                     // not verified, without the data of constants
  std::vector<ValueId> constants;  // values that need data
};

// Throws ErrorKind::corrupt_file, unsupported or invalid_argument, naming what breaks the form.
GraphJson graph_from_json(const Json& json);

}  // namespace residua
