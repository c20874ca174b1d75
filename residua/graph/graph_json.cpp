#include "residua/graph/graph_json.h"

#include <fmt/format.h>

#include <set>

#include "residua/core/error.h"
#include "residua/graph/graph_file.h"

namespace residua {

namespace {

[[noreturn]] void refuse_json(const std::string& where, std::string rule,
                              std::string received = {}) {
  throw Error(ErrorKind::corrupt_file,
              {.where = where, .rule = std::move(rule), .received = std::move(received)});
}

std::string short_text(const Json& value) { return json_text(value).substr(0, 80); }

// An object whose members are all read; `done` refuses the others.
class Members {
 public:
  Members(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json.is_object()) refuse_json(where_, "must be an object", short_text(json));
  }

  const Json* find(const char* key) {
    read_.insert(key);
    const auto found = json_.find(key);
    return found == json_.end() ? nullptr : &*found;
  }
  const Json& at(const char* key) {
    if (const Json* value = find(key)) return *value;
    refuse_json(where_, fmt::format("lacks '{}'", key));
  }
  std::string text(const char* key) {
    const Json& value = at(key);
    if (!value.is_string()) refuse_json(in(key), "must be text", short_text(value));
    return value.get<std::string>();
  }
  int64_t integer(const char* key) { return integer_of(at(key), in(key)); }
  int64_t integer(const char* key, int64_t missing) {
    const Json* value = find(key);
    return value == nullptr ? missing : integer_of(*value, in(key));
  }
  bool flag(const char* key) {
    const Json* value = find(key);
    if (value != nullptr && !value->is_boolean())
      refuse_json(in(key), "must be true or false", short_text(*value));
    return value != nullptr && value->get<bool>();
  }
  std::vector<int64_t> integers(const char* key) {
    std::vector<int64_t> result;
    for (const Json& value : list_of(at(key), in(key)))
      result.push_back(integer_of(value, in(key)));
    return result;
  }
  // The elements; none where the member is absent.
  const Json& list(const char* key) {
    static const Json empty = Json::array();
    const Json* value = find(key);
    return value == nullptr ? empty : list_of(*value, in(key));
  }
  const Json& object(const char* key) {
    static const Json empty = Json::object();
    const Json* value = find(key);
    if (value != nullptr && !value->is_object())
      refuse_json(in(key), "must be an object", short_text(*value));
    return value == nullptr ? empty : *value;
  }
  void done() const {
    for (const auto& [key, value] : json_.items())
      if (!read_.contains(key))
        refuse_json(where_, fmt::format("has the unknown member '{}'", key.substr(0, 80)));
  }
  std::string in(std::string_view key) const {
    return where_.empty() ? std::string(key) : fmt::format("{}: {}", where_, key);
  }

 private:
  static int64_t integer_of(const Json& value, const std::string& where) {
    const bool fits = value.is_number_unsigned()
                          ? value.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX)
                          : value.is_number_integer();
    if (!fits) refuse_json(where, "must be an integer of 64 bits", short_text(value));
    return value.get<int64_t>();
  }
  static const Json& list_of(const Json& value, const std::string& where) {
    if (!value.is_array()) refuse_json(where, "must be a list", short_text(value));
    return value;
  }

  const Json& json_;
  std::string where_;
  std::set<std::string, std::less<>> read_;
};

SymbolRule read_symbol_rule(Members& members) {
  return {members.text("symbol"), members.integer("factor", 1), members.integer("offset", 0)};
}

void write_symbol_rule(const SymbolRule& rule, Json& json) {
  json["symbol"] = rule.symbol;
  json["factor"] = rule.factor;
  json["offset"] = rule.offset;
}

Value read_value(const Json& json, size_t number, bool& constant) {
  Members members(json, fmt::format("value {}", number));
  Value value{members.text("name"), {}};
  const std::string dtype = members.text("dtype");
  const auto known = dtype_from_string(dtype);
  if (!known)
    throw Error(ErrorKind::unsupported, {.where = members.in("dtype"),
                                         .rule = "is an unknown element type",
                                         .received = dtype.substr(0, 40)});
  value.type = {*known, members.integers("shape")};
  constant = members.flag("constant");
  members.done();
  return value;
}

Node read_node(const Json& json, size_t number) {
  Members members(json, fmt::format("node {}", number));
  Node node;
  const std::string name = members.text("operator");
  try {
    node.operation = make_operation(name);
  } catch (const Error& error) {
    ErrorText text = error.text();
    text.where = fmt::format("node {}: {}", number, text.where);
    throw Error(ErrorKind::unsupported, text);
  }
  if (members.find("name") != nullptr) node.name = members.text("name");
  check_tensor_name(node.name, fmt::format("node {}", number));
  node.inputs = members.integers("inputs");
  node.outputs = members.integers("outputs");
  assign(describe(node.operation), members.object("settings"),
         fmt::format("node {}: {} '{}'", number, name, node.name));
  const Json& rules = members.list("rules");
  for (size_t i = 0; i < rules.size(); ++i) {
    Members rule(rules[i], members.in(fmt::format("rule {}", i)));
    node.rules.push_back({rule.text("field"), rule.integer("index", 0), read_symbol_rule(rule)});
    rule.done();
  }
  members.done();
  return node;
}

Json node_to_json(const Node& node) {
  Json json{{"operator", name_of(node.operation)}};
  if (!node.name.empty()) json["name"] = node.name;
  json["inputs"] = node.inputs;
  json["outputs"] = node.outputs;
  Operation copy = node.operation;
  Json settings = to_json(describe(copy));
  if (!settings.empty()) json["settings"] = std::move(settings);
  for (const NodeRule& rule : node.rules) {
    Json one{{"field", rule.field}, {"index", rule.index}};
    write_symbol_rule(rule.rule, one);
    json["rules"].push_back(std::move(one));
  }
  return json;
}

void read_symbols(Members& root, Graph& graph) {
  for (const auto& [name, json] : root.object("symbols").items()) {
    Members members(json, fmt::format("symbol '{}'", name.substr(0, 80)));
    graph.symbols[name] = {members.integer("size"), members.integer("min", 1),
                           members.integer("max", INT64_MAX)};
    members.done();
  }
  const Json& axes = root.list("axes");
  for (size_t i = 0; i < axes.size(); ++i) {
    Members members(axes[i], fmt::format("axes[{}]", i));
    graph.axes.push_back(
        {members.integer("value"), members.integer("axis"), read_symbol_rule(members)});
    members.done();
  }
}

void read_metadata(Members& root, Graph& graph) {
  for (const auto& [key, value] : root.object("metadata").items()) {
    if (!value.is_string())
      refuse_json(fmt::format("metadata '{}'", key.substr(0, 80)), "must be text",
                  short_text(value));
    graph.metadata[key] = value.get<std::string>();
  }
}

}  // namespace

Json graph_to_json(const Graph& graph) {
  Json json{{"version", kGraphVersion},
            {"values", Json::array()},
            {"nodes", Json::array()},
            {"inputs", graph.inputs},
            {"outputs", graph.outputs}};
  for (const Value& value : graph.values) {
    Json one{
        {"name", value.name}, {"dtype", to_string(value.type.dtype)}, {"shape", value.type.shape}};
    if (value.constant) one["constant"] = true;
    json["values"].push_back(std::move(one));
  }
  for (const Node& node : graph.nodes) json["nodes"].push_back(node_to_json(node));
  for (const auto& [name, symbol] : graph.symbols)
    json["symbols"][name] = {{"size", symbol.size}, {"min", symbol.min}, {"max", symbol.max}};
  for (const AxisRule& axis : graph.axes) {
    Json one{{"value", axis.value}, {"axis", axis.axis}};
    write_symbol_rule(axis.rule, one);
    json["axes"].push_back(std::move(one));
  }
  for (const auto& [key, value] : graph.metadata) json["metadata"][key] = value;
  return json;
}

GraphJson graph_from_json(const Json& json) {
  Members root(json, "graph");
  const int64_t version = root.integer("version");
  if (version != kGraphVersion)
    throw Error(ErrorKind::unsupported, {.where = "graph",
                                         .rule = "has another version of the form",
                                         .expected = fmt::format("{}", kGraphVersion),
                                         .received = fmt::format("{}", version)});
  GraphJson result;
  Graph& graph = result.graph;
  root.at("values");
  for (const Json& value : root.list("values")) {
    bool constant = false;
    graph.values.push_back(read_value(value, graph.values.size(), constant));
    if (constant) result.constants.push_back(static_cast<ValueId>(graph.values.size()) - 1);
  }
  root.at("nodes");
  for (const Json& node : root.list("nodes"))
    graph.nodes.push_back(read_node(node, graph.nodes.size()));
  graph.inputs = root.integers("inputs");
  graph.outputs = root.integers("outputs");
  read_symbols(root, graph);
  read_metadata(root, graph);
  root.done();
  return result;
}

}  // namespace residua
