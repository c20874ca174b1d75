#include "residua/runtime/choose_blocks.h"

#include <algorithm>

#include "residua/core/threads.h"
#include "residua/graph/passes/passes.h"
#include "residua/runtime/kernel_choice.h"
#include "residua/runtime/session.h"

namespace residua {

namespace {

// The three convolutions by themselves, on one input.
Graph parts_of_block(const Graph& graph, const std::vector<const Node*>& convolutions) {
  GraphBuilder b;
  const auto constant = [&](ValueId id) {
    const Value& value = graph.value(id);
    return b.constant(value.name, TensorData{{value.name, value.type.dtype, value.type.shape},
                                             value.constant->owner,
                                             value.constant->bytes});
  };
  const TensorType& type = graph.value(convolutions[0]->inputs[0]).type;
  const ValueId x = b.input("block", type.dtype, type.shape);
  ValueId y = x;
  for (const Node* node : convolutions) {
    std::vector<ValueId> inputs{y};
    for (size_t i = 1; i < node->inputs.size(); ++i) {
      const ValueId id = node->inputs[i];
      inputs.push_back(id == kNoValue ? kNoValue
                       : i == 3       ? x  // a block's summand is its input
                                      : constant(id));
    }
    y = b.add(node->operation, inputs);
  }
  b.output("result", y);
  return b.finish();
}

// The least time of a few runs on zeros, without the reorders at the edges, which the neighbours
// inside a network do not need.
double block_seconds(const Graph& graph, const PlanOptions& options) {
  const auto plan = std::make_shared<const Plan>(graph, options);
  Session session(plan);
  std::vector<std::vector<std::byte>> memory;
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  const auto add = [&](const TensorType& type) {
    memory.emplace_back(static_cast<size_t>(checked_bytes(type.shape, type.dtype, "block")));
    return memory.back().data();
  };
  for (const TensorType& type : plan->input_types()) inputs.push_back(add(type));
  for (const TensorType& type : plan->output_types()) outputs.push_back(add(type));
  double least = 1e30;
  for (int run = 0; run < 5; ++run) {
    std::vector<double> seconds(plan->layers().size(), 0);
    session.run_timed(inputs, outputs, seconds);
    double sum = 0;
    for (size_t i = 0; i < seconds.size(); ++i)
      if (plan->layers()[i].kind != "reorder") sum += seconds[i];
    least = std::min(least, sum);
  }
  return least;
}

}  // namespace

Graph with_fused_blocks(const Graph& graph, const PlanOptions& options) {
  Graph fused = graph;
  if (options.kernels == KernelChoice::fixed) {
    fuse_blocks(fused);
    return fused;
  }
  KernelChooser chooser(graph, options, choose_threads(static_cast<int>(options.threads)).count);
  PlanOptions alone = options;
  alone.kernels = KernelChoice::fixed;
  alone.fused_blocks = false;
  fuse_blocks(fused, [&](const Graph& g, const std::vector<const Node*>& convolutions) {
    const Graph parts = parts_of_block(g, convolutions);
    Graph block = parts;
    if (fuse_blocks(block) != 1) return false;
    const Graph* const candidates[] = {&parts, &block};
    return chooser.choose(g.value(convolutions.back()->outputs[0]).name,
                          {"convolutions", "fused block"},
                          [&](size_t i) { return block_seconds(*candidates[i], alone); }) == 1;
  });
  chooser.save();
  return fused;
}

}  // namespace residua
