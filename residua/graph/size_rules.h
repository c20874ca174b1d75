#pragma once
// Which numbers of a network's graph follow its symbols, found by building it at several sizes and
// comparing: a tracer and an importer need only know how to make a graph of one size.

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "residua/graph/graph.h"

namespace residua {

using Sizes = std::map<std::string, int64_t>;  // of symbols

// Makes the graph of the given sizes, with `symbols` and `axes` but without rules of nodes.
using GraphAtSizes = std::function<Graph(const Sizes&)>;

struct SizedGraph {
  Graph graph;
  // Symbols that some number does not follow as factor * symbol + offset, with that place: they are
  // no longer symbols of the graph, which has one size of them.
  std::map<std::string, std::string> fixed;
};

// The graph of `sizes` with its rules. Each symbol is varied alone; where the size is less than 3,
// from 3 on, because sizes 0 and 1 broadcast. A size of a Reshape that follows several symbols
// becomes -1 where it is the only one. Throws what `build` throws at `sizes`.
SizedGraph find_size_rules(const Sizes& sizes, const GraphAtSizes& build);

// One number at a symbol's sizes `first`, `first + step` and further steps, as a rule.
struct NumberAt {
  int64_t size, number;
};
std::optional<SymbolRule> rule_through(const std::string& symbol, std::span<const NumberAt> points);

}  // namespace residua
