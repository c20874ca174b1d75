#pragma once
// A graph that may be run at any of its sizes: a plan is compiled for each set of symbol sizes that
// is met, and the last few are kept with their sessions.
//
//   const ModelFile file = read_model("resnet50.plan");
//   CompiledModel model(file, plan_options(file, {}));
//   std::vector<TensorData> scores = model.run({image});

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "residua/graph/graph.h"
#include "residua/runtime/model_file.h"
#include "residua/runtime/session.h"

namespace residua {

class WeightStore;

// The sizes of the graph's symbols that follow from its inputs' shapes. Throws ErrorKind::shape,
// naming the input, where they do not fit.
std::map<std::string, int64_t> sizes_for(const Graph& graph, std::span<const Shape> shapes);

class CompiledModel {
 public:
  // `most_plans` >= 1 are kept. The graph is optimised (graph/passes), then compiled at its present
  // sizes, so that what cannot be compiled is told here.
  explicit CompiledModel(Graph graph, const PlanOptions& options = {}, size_t most_plans = 4);
  // The same of a file; the graph of a plan is optimised already.
  explicit CompiledModel(ModelFile file, const PlanOptions& options, size_t most_plans = 4);
  ~CompiledModel();

  const Graph& graph() const { return graph_; }
  const PlanOptions& options() const { return options_; }

  std::map<std::string, int64_t> sizes_of(std::span<const Shape> shapes) const {
    return sizes_for(graph_, shapes);
  }

  std::shared_ptr<const Plan> plan_for(std::span<const Shape> shapes);

  // Inputs in the graph's order and types. May be called from several threads at once. Throws
  // ErrorKind::shape or invalid_argument for inputs that do not fit.
  std::vector<TensorData> run(std::span<const TensorData> inputs);

  size_t plans() const;  // that are kept now

 private:
  struct Compiled;
  void compile_first();
  std::shared_ptr<Compiled> compiled_for(std::span<const Shape> shapes);

  Graph graph_;
  PlanOptions options_;
  size_t most_plans_;
  std::shared_ptr<WeightStore> weights_;
  mutable std::mutex mutex_;
  std::list<std::pair<std::map<std::string, int64_t>, std::shared_ptr<Compiled>>> plans_;
};

}  // namespace residua
