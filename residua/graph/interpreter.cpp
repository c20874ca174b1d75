#include "residua/graph/interpreter.h"

#include <fmt/format.h>

#include <cmath>
#include <unordered_map>

#include "residua/core/error.h"
#include "residua/graph/interpret_rules.h"

namespace residua {

Shape row_major_strides(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

int64_t product_of(const Shape& shape) {
  int64_t product = 1;
  for (const int64_t size : shape) product *= size;
  return product;
}

Shape broadcast_strides(const Shape& shape, const Shape& as) {
  const Shape own = row_major_strides(shape);
  Shape strides(as.size(), 0);
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i] != 1) strides[as.size() - shape.size() + i] = own[i];
  return strides;
}

int64_t offset_of(const Shape& index, const Shape& strides) {
  int64_t offset = 0;
  for (size_t i = 0; i < index.size(); ++i) offset += index[i] * strides[i];
  return offset;
}

Space space_of(const std::vector<int64_t>& sizes, size_t skip, int64_t missing) {
  const size_t axes = sizes.size() - skip;
  const auto from_end = [&](size_t i) { return i <= axes ? sizes[sizes.size() - i] : missing; };
  return {from_end(3), from_end(2), from_end(1)};
}

double maximum_of(double a, double b) { return std::isnan(a) || a > b ? a : b; }
double minimum_of(double a, double b) { return std::isnan(a) || a < b ? a : b; }
bool ranks_above(double a, double b) { return std::isnan(a) ? !std::isnan(b) : a > b; }

std::vector<Numbers> interpret(const Operation& operation, std::span<const Numbers* const> inputs,
                               const InterpreterOptions& options) {
  std::vector<std::optional<TensorType>> types;
  for (const Numbers* input : inputs)
    types.push_back(input == nullptr ? std::nullopt : std::optional(input->type));
  Outputs outputs;
  for (const TensorType& type : infer(operation, types)) {
    const int64_t elements = checked_numel(type.shape, name_of(operation));
    if (elements > options.max_elements)
      throw Error(ErrorKind::limit, {.where = std::string(name_of(operation)),
                                     .rule = "gives more elements than the interpreter may hold",
                                     .expected = fmt::format("at most {}", options.max_elements),
                                     .received = fmt::format("{}", elements)});
    outputs.push_back({type, std::vector<double>(static_cast<size_t>(elements), 0)});
  }
  std::visit([&](const auto& o) { compute(o, ReadInputs(inputs), outputs); }, operation);
  return outputs;
}

namespace {

void check_graph_inputs(const Graph& graph, std::span<const Numbers> inputs) {
  if (inputs.size() != graph.inputs.size())
    throw Error(ErrorKind::shape, {.where = "interpret",
                                   .rule = "the graph has another number of inputs",
                                   .expected = fmt::format("{}", graph.inputs.size()),
                                   .received = fmt::format("{}", inputs.size())});
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value& value = graph.value(graph.inputs[i]);
    const bool complete = static_cast<int64_t>(inputs[i].data.size()) ==
                          checked_numel(inputs[i].type.shape, value.name);
    if (inputs[i].type != value.type || !complete)
      throw Error(
          ErrorKind::shape,
          {.where = value.name,
           .rule = "the input does not fit the graph",
           .expected =
               fmt::format("{} {}", to_string(value.type.dtype), to_string(value.type.shape)),
           .received = fmt::format("{} {} with {} numbers", to_string(inputs[i].type.dtype),
                                   to_string(inputs[i].type.shape), inputs[i].data.size())});
  }
}

// How often each value will still be read.
std::vector<int64_t> count_reads(const Graph& graph) {
  std::vector<int64_t> reads(graph.values.size(), 0);
  for (const Node& node : graph.nodes)
    for (const ValueId id : node.inputs)
      if (id != kNoValue) ++reads[static_cast<size_t>(id)];
  for (const ValueId id : graph.outputs) ++reads[static_cast<size_t>(id)];
  return reads;
}

}  // namespace

std::vector<Numbers> interpret(const Graph& graph, std::span<const Numbers> inputs,
                               const InterpreterOptions& options) {
  verify(graph);
  check_graph_inputs(graph, inputs);
  std::unordered_map<ValueId, Numbers> values;
  for (size_t i = 0; i < inputs.size(); ++i) values[graph.inputs[i]] = inputs[i];
  std::vector<int64_t> reads = count_reads(graph);
  const auto value_of = [&](ValueId id) -> const Numbers& {
    const auto found = values.find(id);
    if (found != values.end()) return found->second;
    const Value& value = graph.value(id);
    return values[id] = read_numbers(value.type, *value.constant);
  };
  for (const Node& node : graph.nodes) {
    std::vector<const Numbers*> read;
    for (const ValueId id : node.inputs) read.push_back(id == kNoValue ? nullptr : &value_of(id));
    Outputs outputs;
    try {
      outputs = interpret(node.operation, read, options);
    } catch (const Error& error) {
      ErrorText text = error.text();
      text.where = fmt::format("{}: {}", label(graph, node), text.where);
      throw Error(error.kind(), text);
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (options.observe) options.observe(node.outputs[i], outputs[i]);
      if (reads[static_cast<size_t>(node.outputs[i])] > 0)
        values[node.outputs[i]] = std::move(outputs[i]);
    }
    for (const ValueId id : node.inputs)
      if (id != kNoValue && --reads[static_cast<size_t>(id)] == 0) values.erase(id);
  }
  std::vector<Numbers> results;
  for (const ValueId id : graph.outputs) results.push_back(value_of(id));
  return results;
}

}  // namespace residua
