#include "residua/graph/passes/rewriter.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "residua/core/error.h"
#include "residua/graph/passes/passes.h"

namespace residua {

namespace {

bool holds_id(const std::vector<ValueId>& ids, ValueId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

std::string free_name(const Graph& graph, const std::string& wanted) {
  std::unordered_set<std::string_view> taken;
  for (const Value& value : graph.values) taken.insert(value.name);
  std::string name = wanted;
  for (int64_t i = 1; taken.contains(name); ++i) name = fmt::format("{}.{}", wanted, i);
  return name;
}

}  // namespace

Rewriter::Rewriter(Graph& graph)
    : graph_(graph),
      removed_(graph.nodes.size(), false),
      before_(graph.nodes.size()),
      producer_(graph.values.size(), -1),
      readers_(graph.values.size(), 0) {
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    for (const ValueId id : graph.nodes[n].outputs)
      producer_[static_cast<size_t>(id)] = static_cast<int64_t>(n);
    count(graph.nodes[n], 1);
  }
  for (const ValueId id : graph.outputs) ++readers_[static_cast<size_t>(id)];
}

void Rewriter::count(const Node& node, int64_t step) {
  for (const ValueId id : node.inputs)
    if (id != kNoValue) readers_[static_cast<size_t>(id)] += step;
}

size_t Rewriter::index_of(const Node& node) const {
  return static_cast<size_t>(&node - graph_.nodes.data());
}

Node* Rewriter::producer(ValueId id) {
  if (id == kNoValue || producer_[static_cast<size_t>(id)] < 0) return nullptr;
  return &graph_.nodes[static_cast<size_t>(producer_[static_cast<size_t>(id)])];
}

bool Rewriter::is_output(ValueId id) const { return holds_id(graph_.outputs, id); }

bool Rewriter::is_constant(ValueId id) const {
  return id != kNoValue && graph_.value(id).constant.has_value();
}

std::optional<Numbers> Rewriter::constant(ValueId id) const {
  if (!is_constant(id)) return std::nullopt;
  return read_numbers(graph_.value(id).type, *graph_.value(id).constant);
}

std::optional<double> Rewriter::scalar(ValueId id) const {
  if (!is_constant(id) || checked_numel(graph_.shape(id), "scalar") != 1) return std::nullopt;
  return constant(id)->data[0];
}

ValueId Rewriter::add_constant(const std::string& name, const Numbers& numbers) {
  graph_.values.push_back({free_name(graph_, name), numbers.type, write_numbers(numbers)});
  producer_.push_back(-1);
  readers_.push_back(0);
  return static_cast<ValueId>(graph_.values.size()) - 1;
}

void Rewriter::remove(Node& node) {
  if (removed_[index_of(node)])
    throw Error(ErrorKind::internal, {.where = label(graph_, node), .rule = "was removed twice"});
  removed_[index_of(node)] = true;
  count(node, -1);
  for (const ValueId id : node.outputs) producer_[static_cast<size_t>(id)] = -1;
}

void Rewriter::replace(Node& node, Operation operation, std::vector<ValueId> inputs) {
  count(node, -1);
  node.operation = std::move(operation);
  node.inputs = std::move(inputs);
  count(node, 1);
}

ValueId Rewriter::insert_before(Node& node, Operation operation, std::vector<ValueId> inputs,
                                const std::string& name) {
  Node fresh{std::move(operation), std::move(inputs), {}, node.name, {}};
  const std::vector<TensorType> types = infer(graph_, fresh);
  graph_.values.push_back({free_name(graph_, name), types.front()});
  producer_.push_back(-1);
  readers_.push_back(0);
  fresh.outputs = {static_cast<ValueId>(graph_.values.size()) - 1};
  count(fresh, 1);
  before_[index_of(node)].push_back(std::move(fresh));
  return static_cast<ValueId>(graph_.values.size()) - 1;
}

bool Rewriter::redirect(ValueId from, ValueId to) {
  if (is_output(from)) {
    if (is_output(to) || holds_id(graph_.inputs, to) || is_constant(to)) return false;
    std::swap(graph_.value(from).name, graph_.value(to).name);
    std::replace(graph_.outputs.begin(), graph_.outputs.end(), from, to);
  }
  for (Node& node : graph_.nodes) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  for (auto& nodes : before_)
    for (Node& node : nodes) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  readers_[static_cast<size_t>(to)] += readers_[static_cast<size_t>(from)];
  readers_[static_cast<size_t>(from)] = 0;
  return true;
}

int64_t Rewriter::finish(int64_t changes) {
  if (changes == 0) return 0;
  std::vector<Node> nodes;
  for (size_t n = 0; n < graph_.nodes.size(); ++n) {
    for (Node& fresh : before_[n]) nodes.push_back(std::move(fresh));
    if (!removed_[n]) nodes.push_back(std::move(graph_.nodes[n]));
  }
  graph_.nodes = std::move(nodes);
  remove_dead(graph_);
  return changes;
}

std::optional<Graph> at_other_sizes(const Graph& graph) {
  for (const int64_t growth : {2, 3, 4}) {
    std::map<std::string, int64_t> sizes;
    int64_t factor = growth;  // another for each symbol, so that none follow each other
    for (const auto& [name, symbol] : graph.symbols) {
      const int64_t size = symbol.size > symbol.max / factor ? symbol.min : symbol.size * factor;
      if (size != symbol.size) sizes[name] = size;
      ++factor;
    }
    if (sizes.empty()) return std::nullopt;
    try {
      return with_sizes(graph, sizes);
    } catch (const Error&) {
      continue;  // the network does not take these sizes
    }
  }
  return std::nullopt;
}

bool same_type_at_every_size(const Graph& graph, const std::optional<Graph>& other, ValueId a,
                             ValueId b) {
  if (graph.value(a).type != graph.value(b).type) return false;
  if (graph.symbols.empty()) return true;
  const auto count = other ? static_cast<ValueId>(other->values.size()) : 0;
  return a < count && b < count && other->value(a).type == other->value(b).type;
}

}  // namespace residua
