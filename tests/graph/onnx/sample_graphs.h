#pragma once
// Graphs that writers and readers are tested with: at least one for each operator, in each of its
// forms, and three networks.

#include <string>
#include <vector>

#include "residua/core/random.h"
#include "residua/graph/numbers.h"

namespace residua::testing {

struct SampleGraph {
  std::string name;
  Graph graph;
};

std::vector<SampleGraph> operator_samples();
std::vector<SampleGraph> network_samples();  // with symbols

// Normal numbers, truth values, or small whole numbers, for each input.
std::vector<Numbers> random_inputs(const Graph& graph, uint64_t seed);

// A builder of graphs with random weights.
class SampleBuilder {
 public:
  explicit SampleBuilder(uint64_t seed) : random_(seed) {}

  ValueId input(Shape shape, DType dtype = DType::f32, std::vector<SymbolRule> axes = {});
  ValueId weight(Shape shape, double scale = 0.5, double mean = 0, DType dtype = DType::f32);
  ValueId add(Operation operation, std::vector<ValueId> inputs) {
    return builder_.add(std::move(operation), std::move(inputs));
  }
  std::vector<ValueId> add_all(Operation operation, std::vector<ValueId> inputs) {
    return builder_.add_all(std::move(operation), std::move(inputs));
  }
  void follow(const std::string& field, int64_t index, SymbolRule rule);  // of the last node
  void output(ValueId value);
  Graph finish() { return builder_.finish(); }
  GraphBuilder& builder() { return builder_; }

 private:
  GraphBuilder builder_;
  Random random_;
  int inputs_ = 0, outputs_ = 0;
};

}  // namespace residua::testing
