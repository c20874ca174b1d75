#include <map>
#include <string>

#include "residua/graph/passes/passes.h"
#include "residua/graph/passes/rewriter.h"

namespace residua {

namespace {

constexpr size_t kSmallConstant = 4096;  // bytes that are worth comparing

std::string constant_key(const Value& value) {
  const auto bytes = value.constant->bytes;
  return std::string(to_string(value.type.dtype)) + to_string(value.type.shape) +
         std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::string node_key(const Node& node) {
  Operation copy = node.operation;
  Json key{name_of(node.operation), to_json(describe(copy)), node.inputs};
  for (const NodeRule& rule : node.rules)
    key.push_back({rule.field, rule.index, rule.rule.symbol, rule.rule.factor, rule.rule.offset});
  return json_text(key);
}

}  // namespace

int64_t share_common(Graph& graph) {
  Rewriter r(graph);
  int64_t changes = 0;
  std::map<std::string, ValueId> constants;
  for (size_t v = 0; v < graph.values.size(); ++v) {
    const Value& value = graph.values[v];
    const auto id = static_cast<ValueId>(v);
    if (!value.constant || value.constant->bytes.size() > kSmallConstant) continue;
    const auto [first, fresh] = constants.try_emplace(constant_key(value), id);
    if (!fresh && r.redirect(id, first->second)) ++changes;
  }
  std::map<std::string, const Node*> nodes;
  for (Node& node : graph.nodes) {
    const auto [first, fresh] = nodes.try_emplace(node_key(node), &node);
    if (fresh) continue;
    bool all = true;
    for (size_t i = 0; i < node.outputs.size(); ++i)
      all &= r.redirect(node.outputs[i], first->second->outputs[i]);
    if (!all) continue;  // what both names are outputs of stays; the rest reads the first
    r.remove(node);
    ++changes;
  }
  return r.finish(changes);
}

}  // namespace residua
