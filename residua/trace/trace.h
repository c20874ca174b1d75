#pragma once
// From a network that runs with libtorch to a graph.
//
//   Graph graph = trace([&](const auto& x) { return std::vector{net.forward(x[0])}; },
//                       {{.name = "x", .axes = {{"batch"}, fixed(3), fixed(224), fixed(224)}}},
//                       {{"batch", {.size = 1}}}, state_dict(net));
//
// The function runs on made-up inputs of the symbols' sizes and of some others. It must be in
// evaluation mode, and what it does may depend on the inputs' sizes but not on their numbers.

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "residua/graph/graph.h"
#include "residua/nn/state.h"

namespace residua {

struct TraceInput {
  std::string name = "x";
  DType dtype = DType::f32;           // f32: standard normal numbers; i64: ids from 0
  std::vector<SymbolRule> axes = {};  // an empty symbol: of size `offset`
  int64_t ids = 1;                    // below this
};

// An axis of a size that does not change.
inline SymbolRule fixed(int64_t size) { return {.symbol = {}, .factor = 0, .offset = size}; }

using TracedFunction = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;
// `named`: parameters and buffers, whose names their constants and nodes get. The outputs are named
// "y", "y1", ... Throws ErrorKind::unsupported naming the module and the
// operation for what a graph cannot say, and the place that does not follow a symbol.
Graph trace(const TracedFunction& function, const std::vector<TraceInput>& inputs,
            const std::map<std::string, Symbol>& symbols, const NamedTensors& named);

}  // namespace residua
