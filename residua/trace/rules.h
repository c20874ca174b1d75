#pragma once
// Which numbers of a graph follow which symbol, found by comparing the graphs of several sizes.

#include <cstdint>
#include <string>
#include <vector>

#include "residua/graph/graph.h"

namespace residua {

// The same network where one symbol has another size.
struct SizedGraph {
  std::string symbol;
  int64_t size = 0;
  Graph graph;
};

// Writes the rules of `graph`, whose symbols have their sizes, from how the others differ: a number
// that differs with one symbol follows it linearly; one size of a reshape may become -1. Throws
// ErrorKind::unsupported for a network that computes differently at other sizes, whose constants
// differ, or whose numbers follow no such rule.
void find_rules(Graph& graph, const std::vector<SizedGraph>& others);

}  // namespace residua
