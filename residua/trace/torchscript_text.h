#pragma once
// Expressions of TorchScript for the operations of a graph (internal to trace).

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "residua/graph/graph.h"

namespace residua {

// The node being written.
class ScriptNode {
 public:
  ScriptNode(const Graph& graph, const Node& node, const std::map<ValueId, std::string>& names)
      : graph_(graph), node_(node), names_(names) {}

  bool has(size_t i) const { return i < node_.inputs.size() && node_.inputs[i] != kNoValue; }
  std::string in(size_t i) const { return has(i) ? names_.at(node_.inputs[i]) : "None"; }
  const TensorType& type(size_t i) const { return graph_.value(node_.inputs[i]).type; }
  size_t rank(size_t i) const { return type(i).shape.size(); }
  size_t inputs() const { return node_.inputs.size(); }
  const TensorType& result() const { return graph_.value(node_.outputs.front()).type; }

  // Settings, which follow symbols where the node has rules.
  std::string integer(std::string_view field, int64_t number, int64_t index = 0) const;
  std::string list(std::string_view field, const std::vector<int64_t>& numbers) const;

  [[noreturn]] void unsupported(std::string rule) const;

 private:
  const Graph& graph_;
  const Node& node_;
  const std::map<ValueId, std::string>& names_;
};

std::string script_number(double number);
std::string script_list(const std::vector<int64_t>& numbers);
std::string script_dtype(DType dtype);
std::string script_rule(const SymbolRule& rule);
std::string script_function(const op::Activation& function, const std::string& x);

// What the node computes; two results are a tuple.
std::string script_expression(const ScriptNode& node, const Operation& operation);

}  // namespace residua
