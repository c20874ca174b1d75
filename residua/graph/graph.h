#pragma once
// A network as a list of operations on typed values: what is traced, counted, changed by passes,
// exported, and compiled into a plan. Plain structs, without a tensor library.
//
//   GraphBuilder b;
//   ValueId x = b.input("x", DType::f32, {1, 3, 224, 224});
//   ValueId y = b.add(op::Conv{.stride = {2, 2}, .padding = {3, 3, 3, 3}}, {x, b.constant("w",
//   weight)}); b.output("y", b.add(op::Unary{{UnaryKind::relu}}, {y})); Graph graph = b.finish();
//
// Shapes are always numbers. A graph that serves several sizes knows which of its numbers follow a
// symbol such as "batch", and `with_sizes` makes the graph of other sizes.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "residua/graph/operators.h"
#include "residua/io/tensor_file.h"

namespace residua {

using ValueId = int64_t;
inline constexpr ValueId kNoValue = -1;

// No axis and no setting of sizes is larger, so that products of two fit 64 bits.
inline constexpr int64_t kMaxAxis = INT32_MAX;

struct TensorType {
  DType dtype = DType::f32;
  Shape shape = {};
  bool operator==(const TensorType&) const = default;
};

// Row-major contiguous little-endian bytes that lie elsewhere: in a mapped file, or in a tensor.
struct ConstantData {
  std::shared_ptr<const void> owner;
  std::span<const std::byte> bytes;
};

struct Value {
  std::string name;  // unique among the values of a graph
  TensorType type = {};
  std::optional<ConstantData> constant = {};
};

// An integer that follows a symbol: factor * symbol + offset.
struct SymbolRule {
  std::string symbol;
  int64_t factor = 1, offset = 0;
};

// One integer of an operation's settings, `field` or `field[index]`, that follows a symbol.
struct NodeRule {
  std::string field;
  int64_t index = 0;
  SymbolRule rule;
};

struct Node {
  Operation operation;
  std::vector<ValueId> inputs = {};
  std::vector<ValueId> outputs = {};
  std::string name = {};  // the module path that it comes from, or empty
  std::vector<NodeRule> rules = {};
};

// A symbol with the size that the graph has now.
struct Symbol {
  int64_t size = 1;
  int64_t min = 1, max = INT64_MAX;
};

struct AxisRule {
  ValueId value;
  int64_t axis;
  SymbolRule rule;
};

struct Graph {
  std::vector<Value> values;
  std::vector<Node> nodes;  // each reads only inputs, constants and outputs of nodes before it
  std::vector<ValueId> inputs, outputs;
  std::map<std::string, Symbol> symbols = {};
  std::vector<AxisRule> axes = {};                   // axes of inputs that follow symbols
  std::map<std::string, std::string> metadata = {};  // mean, stddev, classes, ... of the model

  const Value& value(ValueId id) const { return values[static_cast<size_t>(id)]; }
  Value& value(ValueId id) { return values[static_cast<size_t>(id)]; }
  const Shape& shape(ValueId id) const { return value(id).type.shape; }
};

// The types of what an operation gives for inputs of these types (missing ones: nullopt). Throws
// ErrorKind::shape where they do not fit, naming the rule and the sizes.
std::vector<TensorType> infer(const Operation& operation,
                              std::span<const std::optional<TensorType>> inputs);

// The same of a node; errors name it.
std::vector<TensorType> infer(const Graph& graph, const Node& node);

// How errors name a node: `conv 'layer1.0.conv1'`, by its name or else that of its first output.
std::string label(const Graph& graph, const Node& node);

// Checks everything that a graph must be: ids in range, each value written once and before it is
// read, names unique, types equal to `infer`, constants of the right length, rules that name
// integers and agree with them. Values that nothing writes and nothing reads may remain. Throws
// ErrorKind::invalid_argument or shape, naming the node.
void verify(const Graph& graph);

// The number that a rule gives now. Throws ErrorKind::not_found for an unknown symbol, limit beyond
// 64 bits.
int64_t evaluate(const Graph& graph, const SymbolRule& rule);

// The same network for other sizes; symbols that are not named keep theirs. Throws
// ErrorKind::not_found for an unknown symbol, limit for a size out of its range, shape where an
// operation cannot take the size.
Graph with_sizes(const Graph& graph, const std::map<std::string, int64_t>& sizes);

// Readable text: one line for each node with its module, settings that differ from the default, and
// types.
std::string to_text(const Graph& graph);

class GraphBuilder {
 public:
  // An axis whose rule has an empty symbol is fixed; none at all: every axis is.
  ValueId input(std::string name, DType dtype, Shape shape, std::vector<SymbolRule> axes = {});
  ValueId constant(std::string name, const TensorData& data);
  ValueId constant(std::string name, Shape shape, std::vector<float> numbers);
  // The first output; the node's type is inferred.
  ValueId add(Operation operation, std::vector<ValueId> inputs, std::string name = {});
  std::vector<ValueId> add_all(Operation operation, std::vector<ValueId> inputs,
                               std::string name = {});
  // Renames the value; what has a name of its own already (an input, a constant, another output) is
  // copied.
  void output(std::string name, ValueId value);
  Graph& graph() { return graph_; }
  Graph finish();  // verified

 private:
  std::string unique(std::string name);
  Graph graph_;
  std::map<std::string, int64_t> used_;
};

}  // namespace residua
