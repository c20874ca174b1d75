#include "residua/graph/graph_file.h"
#include "residua/graph/interpreter.h"
#include "residua/graph/passes/passes.h"
#include "tests/fuzz/fuzz.h"

// A graph that is read must be sound: its text is written, and small ones run on zeros, as they are
// and after all passes.
namespace {

using namespace residua;

void run_on_zeros(const Graph& graph) {
  std::vector<Numbers> inputs;
  size_t elements = 0;
  for (const Value& value : graph.values)
    elements += static_cast<size_t>(checked_numel(value.type.shape, "fuzz")) % (1 << 30);
  if (elements > 5000 || graph.nodes.size() > 50) return;
  for (const ValueId id : graph.inputs) {
    const TensorType& type = graph.value(id).type;
    inputs.push_back(
        {type, std::vector<double>(static_cast<size_t>(checked_numel(type.shape, "fuzz")), 0)});
  }
  try {
    interpret(graph, inputs, {.max_elements = 5000});
    Graph changed = graph;
    optimise(changed);
    fuse_blocks(changed);
    interpret(changed, inputs, {.max_elements = 5000});
  } catch (const Error& error) {
    // An index beyond its axis, or a value that is too large.
    if (error.kind() == ErrorKind::internal) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::expect_error_or_success([&] {
    const Graph graph = parse_graph(fuzz::heap_copy(data, size), "input");
    if (to_text(graph).empty()) std::abort();
    run_on_zeros(graph);
  });
  return 0;
}
