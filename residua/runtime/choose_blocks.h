#pragma once
// Which inverted-residual and ConvFirst blocks run by the one kernel (internal to runtime).

#include "residua/runtime/plan.h"

namespace residua {

// The graph with its blocks fused: all of them by the fixed rule; where plans measure, those that
// take less time than their convolutions.
Graph with_fused_blocks(const Graph& graph, const PlanOptions& options);

}  // namespace residua
