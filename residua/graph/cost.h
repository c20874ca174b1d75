#pragma once
// What a node or a graph costs, counted from shapes alone.
//
// A MAC is one multiplication with its addition. Counted are convolutions, products and attention
// (scores and weighted values, also where a causal mask hides them); functions of elements, norms
// and pools are not, as in the counts that papers print.

#include <cstdint>

#include "residua/graph/graph.h"

namespace residua {

struct Cost {
  int64_t macs = 0;
  int64_t bytes_read = 0;     // of inputs and constants, each as often as a node reads it
  int64_t bytes_written = 0;  // of outputs
  int64_t weight_bytes = 0;   // of constants; of a graph: each counted once
};

// reshape moves no bytes; gather, slice and expand read only what they give.
Cost cost_of(const Graph& graph, const Node& node);
Cost cost_of(const Graph& graph);

}  // namespace residua
