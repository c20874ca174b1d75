#pragma once
// TorchScript out: a file that torch.jit.load reads, in Python or C++, without Residua.
//
// The program is written as TorchScript's own text from the graph, not recorded. Constants that are
// parameters or buffers of the network keep their names, so that the module's state dict is the
// network's, and sizes that follow a symbol follow the input.

#include <string>

#include "residua/graph/graph.h"

namespace residua {

// The body of `forward`, for readers and tests.
std::string torchscript_source(const Graph& graph);

// One output: a tensor; several: a tuple. Written to a temporary file first. Throws
// ErrorKind::unsupported, naming the node, for what TorchScript has no operation for (fused
// blocks), and io.
void write_torchscript(const Graph& graph, const std::string& path);

}  // namespace residua
