// Models of the zoo as graphs, for the commands that compile and export them.

#include "app/commands.h"
#include "residua/recipes/traced_network.h"
#include "residua/trace/torchscript.h"
#include "residua/train/checkpoint_store.h"

namespace residua::app {

NetworkSource network(const NetworkArguments& a, int64_t samples) {
  TracedNetworkOptions options{.weights = a.weights, .samples = samples};
  // A checkpoint may stand where a model does: it knows its own.
  if (a.weights.empty() && find_checkpoint(a.what))
    options.weights = a.what;
  else
    options.model = a.what;
  for (const std::string& text : a.overrides) merge_key_value(options.settings, text);
  options.graph.batch = a.batch;
  options.graph.dynamic_size = a.dynamic_size;
  options.graph.dynamic_batch = !a.fixed_batch;
  if (a.input.size() == 1) options.graph.tokens = a.input[0];
  if (a.input.size() == 2) {
    options.graph.height = a.input[0];
    options.graph.width = a.input[1];
  }
  TracedNetwork made = trace_network(options);
  return {.file = {.path = a.what,
                   .kind = ModelKind::graph,
                   .graph = std::move(made.file.graph),
                   .info = std::move(made.file.info)},
          .samples = std::move(made.samples)};
}

void torchscript(const Graph& graph, const std::string& path) { write_torchscript(graph, path); }

}  // namespace residua::app
