#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "residua/core/error.h"
#include "residua/graph/graph.h"

namespace residua {

namespace {

std::string type_text(const TensorType& type) {
  return fmt::format("{} {}", to_string(type.dtype), to_string(type.shape));
}

class Verifier {
 public:
  explicit Verifier(const Graph& graph) : graph_(graph), written_(graph.values.size(), false) {}

  void run() {
    symbols();
    names();
    for (const ValueId id : graph_.inputs) input(id);
    for (size_t id = 0; id < graph_.values.size(); ++id)
      if (graph_.values[id].constant) constant(static_cast<ValueId>(id));
    for (const AxisRule& rule : graph_.axes) axis(rule);
    for (const Node& n : graph_.nodes) node(n);
    outputs();
  }

 private:
  [[noreturn]] static void refuse(const std::string& where, std::string rule,
                                  std::string expected = {}, std::string received = {}) {
    throw Error(ErrorKind::invalid_argument, {.where = where,
                                              .rule = std::move(rule),
                                              .expected = std::move(expected),
                                              .received = std::move(received)});
  }

  size_t known(ValueId id, const std::string& where) const {
    if (id < 0 || id >= static_cast<ValueId>(graph_.values.size()))
      refuse(where, "names a value that the graph does not have",
             fmt::format("0 to {}", static_cast<ValueId>(graph_.values.size()) - 1),
             fmt::format("{}", id));
    return static_cast<size_t>(id);
  }

  void write(ValueId id, const std::string& where) {
    const size_t v = known(id, where);
    if (written_[v])
      refuse(where, fmt::format("writes the value '{}' a second time", graph_.values[v].name));
    written_[v] = true;
  }

  void symbols() const {
    for (const auto& [name, symbol] : graph_.symbols) {
      if (name.empty()) refuse("symbols", "a symbol has no name");
      if (symbol.min < 0 || symbol.size < symbol.min || symbol.size > symbol.max)
        refuse(name, "the symbol's size is outside its range",
               fmt::format("{} to {}", symbol.min, symbol.max), fmt::format("{}", symbol.size));
    }
  }

  void names() const {
    std::unordered_set<std::string_view> seen;
    for (const Value& value : graph_.values) {
      if (value.name.empty()) refuse("values", "a value has no name");
      check_tensor_name(value.name, "values");
      if (!seen.insert(value.name).second) refuse(value.name, "is the name of two values");
    }
  }

  void input(ValueId id) {
    write(id, "inputs");
    const Value& value = graph_.value(id);
    checked_bytes(value.type.shape, value.type.dtype, value.name);
    if (value.constant) refuse(value.name, "is an input and a constant");
  }

  void constant(ValueId id) {
    const Value& value = graph_.value(id);
    write(id, value.name);
    const auto bytes =
        static_cast<uint64_t>(checked_bytes(value.type.shape, value.type.dtype, value.name));
    if (bytes != value.constant->bytes.size())
      refuse(value.name, "the constant's bytes do not fit its type " + type_text(value.type),
             fmt::format("{}", bytes), fmt::format("{}", value.constant->bytes.size()));
  }

  void axis(const AxisRule& rule) {
    const size_t v = known(rule.value, "axes");
    const Value& value = graph_.values[v];
    const bool is_input =
        std::find(graph_.inputs.begin(), graph_.inputs.end(), rule.value) != graph_.inputs.end();
    const Shape& shape = value.type.shape;
    if (!is_input) refuse(value.name, "has an axis that follows a symbol, but is no input");
    if (rule.axis < 0 || rule.axis >= static_cast<int64_t>(shape.size()))
      refuse(value.name, "has no such axis to follow a symbol", to_string(shape),
             fmt::format("axis {}", rule.axis));
    follows(rule.rule, shape[static_cast<size_t>(rule.axis)], value.name);
  }

  void follows(const SymbolRule& rule, int64_t number, const std::string& where) const {
    if (!graph_.symbols.contains(rule.symbol))
      refuse(where, fmt::format("follows '{}', which is no symbol of the graph", rule.symbol));
    const int64_t expected = evaluate(graph_, rule);
    if (number != expected)
      refuse(where, fmt::format("does not follow the symbol '{}' as its rule says", rule.symbol),
             fmt::format("{}", expected), fmt::format("{}", number));
  }

  void node(const Node& n) {
    const std::string where = label(graph_, n);
    for (const ValueId id : n.inputs) {
      if (id == kNoValue) continue;
      if (!written_[known(id, where)])
        refuse(where,
               fmt::format("reads the value '{}' before it is written", graph_.value(id).name));
    }
    for (const NodeRule& rule : n.rules) {
      Operation copy = n.operation;
      const int64_t* number = find_integer(copy, rule.field, rule.index);
      const std::string field = fmt::format("{}.{}[{}]", where, rule.field, rule.index);
      if (number == nullptr) refuse(field, "is no integer setting of the operator");
      follows(rule.rule, *number, field);
    }
    const std::vector<TensorType> types = infer(graph_, n);
    if (types.size() != n.outputs.size())
      refuse(where, "has another number of outputs than its operator gives",
             fmt::format("{}", types.size()), fmt::format("{}", n.outputs.size()));
    for (size_t i = 0; i < types.size(); ++i) {
      write(n.outputs[i], where);
      const Value& output = graph_.value(n.outputs[i]);
      if (output.type != types[i])
        refuse(where, fmt::format("the type of its output '{}' is wrong", output.name),
               type_text(types[i]), type_text(output.type));
    }
  }

  void outputs() const {
    std::unordered_set<ValueId> seen;
    for (const ValueId id : graph_.outputs) {
      if (!written_[known(id, "outputs")])
        refuse("outputs", fmt::format("'{}' is never written", graph_.value(id).name));
      if (!seen.insert(id).second)
        refuse("outputs", "names a value twice", {}, graph_.value(id).name);
    }
  }

  const Graph& graph_;
  std::vector<bool> written_;
};

}  // namespace

void verify(const Graph& graph) { Verifier(graph).run(); }

}  // namespace residua
