#include "residua/trace/torchscript.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/jit/serialization/export.h>
#include <torch/script.h>

#include <algorithm>
#include <set>

#include "residua/core/error.h"
#include "residua/io/atomic_file.h"
#include "residua/trace/torchscript_text.h"

namespace residua {

namespace {

at::ScalarType script_type(DType dtype) {
  switch (dtype) {
    case DType::boolean: return at::kBool;
    case DType::u8: return at::kByte;
    case DType::i8: return at::kChar;
    case DType::i16: return at::kShort;
    case DType::i32: return at::kInt;
    case DType::i64: return at::kLong;
    case DType::f16: return at::kHalf;
    case DType::bf16: return at::kBFloat16;
    case DType::f32: return at::kFloat;
    case DType::f64: return at::kDouble;
    default:
      throw Error(ErrorKind::unsupported, {.where = "TorchScript",
                                           .rule = "has no tensors of this type",
                                           .received = std::string(to_string(dtype))});
  }
}

std::vector<std::string> path_of(const std::string& name) {
  std::vector<std::string> parts{""};
  for (const char c : name) {
    if (c == '.')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

// self.a.b, where a name such as "0" is no word.
std::string attribute(const std::string& name) {
  std::string text = "self";
  for (const std::string& part : path_of(name))
    text = fmt::format("getattr({}, \"{}\")", text, part);
  return text;
}

// Names of constants as attributes; one that would lie inside another constant has no dots.
std::map<ValueId, std::string> attribute_names(const Graph& graph) {
  std::set<std::string> taken;
  for (const Value& value : graph.values)
    if (value.constant) taken.insert(value.name);
  std::map<ValueId, std::string> names;
  for (size_t id = 0; id < graph.values.size(); ++id) {
    const Value& value = graph.values[id];
    if (!value.constant) continue;
    std::string name = value.name;
    for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1))
      if (taken.contains(name.substr(0, dot))) {
        std::replace(name.begin(), name.end(), '.', '_');
        while (!taken.insert(name).second) name += '_';
        break;
      }
    names[static_cast<ValueId>(id)] = name;
  }
  return names;
}

// Constants as buffers of a tree of modules.
class ScriptModules {
 public:
  explicit ScriptModules(const torch::jit::Module& root) : root_(root) {}
  void add(const std::string& name, const at::Tensor& tensor) {
    const std::vector<std::string> path = path_of(name);
    torch::jit::Module at = root_;
    for (size_t i = 0; i + 1 < path.size(); ++i) {
      if (!at.hasattr(path[i])) {
        const c10::QualifiedName type(fmt::format("__torch__.residua.Module{}", count_++));
        at.register_module(path[i], torch::jit::Module(type, units_));
      }
      at = at.attr(path[i]).toModule();
    }
    at.register_buffer(path.back(), tensor);
  }

 private:
  torch::jit::Module root_;
  std::shared_ptr<torch::jit::CompilationUnit> units_ = root_._ivalue()->compilation_unit();
  int count_ = 0;
};

std::string results(const Node& node, const std::map<ValueId, std::string>& names) {
  std::vector<std::string> made;
  for (const ValueId output : node.outputs) made.push_back(names.at(output));
  return fmt::format("{}", fmt::join(made, ", "));
}

}  // namespace

std::string torchscript_source(const Graph& graph) {
  std::map<ValueId, std::string> names;
  std::vector<std::string> inputs;
  for (const ValueId id : graph.inputs) inputs.push_back(names[id] = fmt::format("input_{}", id));
  for (const auto& [id, name] : attribute_names(graph)) names[id] = attribute(name);
  for (size_t id = 0; id < graph.values.size(); ++id)
    names.emplace(static_cast<ValueId>(id), fmt::format("v{}", id));
  std::string text = fmt::format("def forward(self, {}):\n", fmt::join(inputs, ", "));
  std::set<std::string> known;
  for (const AxisRule& axis : graph.axes)
    if (!axis.rule.symbol.empty() && known.insert(axis.rule.symbol).second)
      text += fmt::format("    size_{} = ({}.size({}) - {}) // {}\n", axis.rule.symbol,
                          names.at(axis.value), axis.axis, axis.rule.offset, axis.rule.factor);
  for (const Node& node : graph.nodes)
    text += fmt::format("    {} = {}\n", results(node, names),
                        script_expression(ScriptNode(graph, node, names), node.operation));
  std::vector<std::string> outputs;
  for (const ValueId id : graph.outputs) outputs.push_back(names.at(id));
  return text + fmt::format("    return {}\n", fmt::join(outputs, ", "));
}

void write_torchscript(const Graph& graph, const std::string& path) {
  torch::jit::Module module("__torch__.residua.Network");
  ScriptModules modules(module);
  for (const auto& [id, name] : attribute_names(graph)) {
    const Value& value = graph.value(id);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): from_blob takes no const pointer
    auto* data = const_cast<std::byte*>(value.constant->bytes.data());
    modules.add(name,
                torch::from_blob(data, value.type.shape, script_type(value.type.dtype)).clone());
  }
  module.define(torchscript_source(graph));
  module.eval();
  AtomicFile file(path);
  torch::jit::ExportModule(module, [&](const void* bytes, size_t count) {
    file.write(std::span(static_cast<const std::byte*>(bytes), count));
    return count;
  });
  file.commit();
}

}  // namespace residua
