#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "residua/core/error.h"
#include "residua/graph/graph.h"

namespace residua {

namespace {

bool lists(const std::vector<ValueId>& ids, ValueId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

std::string GraphBuilder::unique(std::string name) {
  int64_t& count = used_[name];
  if (count++ == 0) return name;
  for (;; ++count) {  // `name.1` may be the name of another value
    std::string candidate = fmt::format("{}.{}", name, count - 1);
    if (used_[candidate]++ == 0) return candidate;
  }
}

ValueId GraphBuilder::input(std::string name, DType dtype, Shape shape,
                            std::vector<SymbolRule> axes) {
  const auto id = static_cast<ValueId>(graph_.values.size());
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i].symbol.empty()) continue;
    if (i >= shape.size())
      throw Error(ErrorKind::invalid_argument, {.where = name,
                                                .rule = "has more rules than axes",
                                                .expected = fmt::format("at most {}", shape.size()),
                                                .received = fmt::format("{}", axes.size())});
    // A symbol's size is what its first axis says.
    const int64_t factor = axes[i].factor == 0 ? 1 : axes[i].factor;
    graph_.symbols.try_emplace(axes[i].symbol, Symbol{(shape[i] - axes[i].offset) / factor});
    graph_.axes.push_back({id, static_cast<int64_t>(i), std::move(axes[i])});
  }
  graph_.values.push_back({unique(std::move(name)), {dtype, std::move(shape)}});
  graph_.inputs.push_back(id);
  return id;
}

ValueId GraphBuilder::constant(std::string name, const TensorData& data) {
  graph_.values.push_back({unique(std::move(name)),
                           {data.info.dtype, data.info.shape},
                           ConstantData{data.owner, data.bytes}});
  return static_cast<ValueId>(graph_.values.size()) - 1;
}

ValueId GraphBuilder::constant(std::string name, Shape shape, std::vector<float> numbers) {
  const auto owner = std::make_shared<const std::vector<float>>(std::move(numbers));
  return constant(
      std::move(name),
      TensorData{{{}, DType::f32, std::move(shape)}, owner, std::as_bytes(std::span(*owner))});
}

std::vector<ValueId> GraphBuilder::add_all(Operation operation, std::vector<ValueId> inputs,
                                           std::string name) {
  const std::string base = name.empty() ? std::string(name_of(operation)) : name;
  Node node{std::move(operation), std::move(inputs), {}, std::move(name), {}};
  for (const ValueId id : node.inputs)
    if (id != kNoValue && (id < 0 || id >= static_cast<ValueId>(graph_.values.size())))
      throw Error(ErrorKind::invalid_argument, {.where = base,
                                                .rule = "reads a value that does not exist",
                                                .received = fmt::format("{}", id)});
  for (TensorType& type : infer(graph_, node)) {
    node.outputs.push_back(static_cast<ValueId>(graph_.values.size()));
    graph_.values.push_back({unique(base), std::move(type)});
  }
  graph_.nodes.push_back(std::move(node));
  return graph_.nodes.back().outputs;
}

ValueId GraphBuilder::add(Operation operation, std::vector<ValueId> inputs, std::string name) {
  return add_all(std::move(operation), std::move(inputs), std::move(name)).front();
}

void GraphBuilder::output(std::string name, ValueId value) {
  if (value < 0 || value >= static_cast<ValueId>(graph_.values.size()))
    throw Error(ErrorKind::invalid_argument,
                {.where = name, .rule = "is a value that does not exist"});
  if (lists(graph_.inputs, value) || lists(graph_.outputs, value) || graph_.value(value).constant)
    value = add(op::Unary{}, {value});
  for (size_t id = 0; id < graph_.values.size(); ++id) {
    Value& other = graph_.values[id];
    const auto other_id = static_cast<ValueId>(id);
    if (other.name != name || other_id == value) continue;
    if (lists(graph_.inputs, other_id) || lists(graph_.outputs, other_id))
      throw Error(ErrorKind::invalid_argument,
                  {.where = name, .rule = "is the name of another input or output"});
    other.name = unique(name);
  }
  ++used_[name];
  graph_.value(value).name = std::move(name);
  graph_.outputs.push_back(value);
}

Graph GraphBuilder::finish() {
  verify(graph_);
  return std::move(graph_);
}

}  // namespace residua
