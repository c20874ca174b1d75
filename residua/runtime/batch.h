#pragma once
// The number of images or sequences that a graph takes at once: axis 0 of its inputs.

#include <cstdint>

#include "residua/graph/graph.h"

namespace residua {

// 0 where no input has an axis.
int64_t batch_of(const Graph& graph);

// Whether the graph serves other batches too.
bool has_open_batch(const Graph& graph);

// The same network for another batch. Throws ErrorKind::unsupported where it has one batch only,
// limit where the batch is out of its range, and what with_sizes throws.
Graph with_batch(const Graph& graph, int64_t batch);

}  // namespace residua
