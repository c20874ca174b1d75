#pragma once
// Nodes of one graph while a pass replaces some of them (internal to graph/passes).
//
// Nodes are not moved or erased before `finish`, so that pointers to them stay. New nodes go before
// an old one. A pass looks at nodes in order, and what it builds takes the place of the last node
// of the pattern: all that it reads has been written by then.

#include <optional>
#include <string>
#include <vector>

#include "residua/graph/numbers.h"

namespace residua {

class Rewriter {
 public:
  explicit Rewriter(Graph& graph);

  Graph& graph() { return graph_; }
  size_t size() const { return graph_.nodes.size(); }
  bool removed(size_t node) const { return removed_[node]; }

  // The node that writes a value; null for inputs and constants, and for inputs that are missing.
  Node* producer(ValueId id);
  // The same where its operation is an Op without rules, else null.
  template <class Op>
  Node* producer_of(ValueId id) {
    Node* node = producer(id);
    return node != nullptr && node->rules.empty() && std::holds_alternative<Op>(node->operation)
               ? node
               : nullptr;
  }
  // How often nodes and outputs read it.
  int64_t readers(ValueId id) const { return readers_[static_cast<size_t>(id)]; }
  bool is_output(ValueId id) const;

  bool is_constant(ValueId id) const;
  std::optional<Numbers> constant(ValueId id) const;  // its numbers, where it is a constant
  std::optional<double> scalar(ValueId id) const;     // of a constant with one element
  ValueId add_constant(const std::string& name, const Numbers& numbers);

  void remove(Node& node);
  // Puts another operation and inputs in the place of a node; its outputs stay.
  void replace(Node& node, Operation operation, std::vector<ValueId> inputs);
  // A new node before `node`, with one output.
  ValueId insert_before(Node& node, Operation operation, std::vector<ValueId> inputs,
                        const std::string& name);
  // Everything that reads `from` reads `to`, which takes its place as output too. False, and
  // nothing changes, where two names of inputs or outputs would fall together.
  bool redirect(ValueId from, ValueId to);

  // Erases what was removed, puts new nodes in their places, and removes what died of it. Returns
  // `changes`.
  int64_t finish(int64_t changes);

 private:
  size_t index_of(const Node& node) const;
  void count(const Node& node, int64_t step);

  Graph& graph_;
  std::vector<bool> removed_;
  std::vector<std::vector<Node>> before_;  // new nodes, by the node that they precede
  std::vector<int64_t> producer_;          // node of each value, or -1
  std::vector<int64_t> readers_;
};

// The graph at other sizes of all its symbols, its values under the same numbers: what holds of the
// shapes at both is taken to hold at every size. None where there are no symbols or no other sizes
// are found.
std::optional<Graph> at_other_sizes(const Graph& graph);

// Whether two values have one type, there too.
bool same_type_at_every_size(const Graph& graph, const std::optional<Graph>& other, ValueId a,
                             ValueId b);

// Input i, or kNoValue where it is left out.
inline ValueId input_of(const Node& node, size_t i) {
  return i < node.inputs.size() ? node.inputs[i] : kNoValue;
}

}  // namespace residua
