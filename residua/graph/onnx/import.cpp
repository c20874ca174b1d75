#include "residua/graph/onnx/import.h"

#include <fmt/format.h>

#include <algorithm>

#include "residua/core/error.h"
#include "residua/core/log.h"
#include "residua/graph/interpreter.h"
#include "residua/graph/onnx/onnx.h"

namespace residua {

namespace {

constexpr int64_t kMaxKnown = 1024;  // elements of a value that shapes are computed from

// Each symbol costs some imports of the whole model, each input or output a look at all values.
constexpr int kMaxEnds = 1024;
constexpr size_t kMaxSymbols = 32;

const OnnxOperators& onnx_operators() {
  static const OnnxOperators table = [] {
    OnnxOperators all;
    add_layer_operators(all);
    add_number_operators(all);
    add_reduce_operators(all);
    add_layout_operators(all);
    add_shape_operators(all);
    add_resize_operators(all);
    return all;
  }();
  return table;
}

// Operations whose cost is of the order of the elements that they read and write.
bool is_light(const Operation& operation) {
  return !std::holds_alternative<op::Conv>(operation) &&
         !std::holds_alternative<op::ConvTranspose>(operation) &&
         !std::holds_alternative<op::Attention>(operation) &&
         !std::holds_alternative<op::Pool>(operation) &&
         !std::holds_alternative<op::FusedBlock>(operation);
}

// Without what no output needs; values are numbered anew.
Graph without_unused(const Graph& graph) {
  std::vector<bool> needed(graph.values.size(), false), kept(graph.nodes.size(), false);
  const auto need = [&](ValueId id) {
    if (id != kNoValue) needed[static_cast<size_t>(id)] = true;
  };
  for (const ValueId id : graph.inputs) need(id);
  for (const ValueId id : graph.outputs) need(id);
  for (size_t n = graph.nodes.size(); n-- > 0;) {
    const Node& node = graph.nodes[n];
    kept[n] = std::any_of(node.outputs.begin(), node.outputs.end(),
                          [&](ValueId id) { return needed[static_cast<size_t>(id)]; });
    if (!kept[n]) continue;
    for (const ValueId id : node.inputs) need(id);
    for (const ValueId id : node.outputs) need(id);
  }
  Graph result;
  std::vector<ValueId> renumbered(graph.values.size(), kNoValue);
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (!needed[i]) continue;
    renumbered[i] = static_cast<ValueId>(result.values.size());
    result.values.push_back(graph.values[i]);
  }
  const auto renumber = [&](std::vector<ValueId> ids) {
    for (ValueId& id : ids)
      if (id != kNoValue) id = renumbered[static_cast<size_t>(id)];
    return ids;
  };
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    if (!kept[n]) continue;
    Node node = graph.nodes[n];
    node.inputs = renumber(node.inputs);
    node.outputs = renumber(node.outputs);
    result.nodes.push_back(std::move(node));
  }
  result.inputs = renumber(graph.inputs);
  result.outputs = renumber(graph.outputs);
  result.symbols = graph.symbols;
  for (AxisRule axis : graph.axes) {
    axis.value = renumbered[static_cast<size_t>(axis.value)];
    result.axes.push_back(axis);
  }
  result.metadata = graph.metadata;
  return result;
}

// Rules of the graph that a file breaks are the file's fault.
Error as_file_error(const Error& error, const std::string& where) {
  const bool own = error.kind() == ErrorKind::shape ||
                   error.kind() == ErrorKind::invalid_argument ||
                   error.kind() == ErrorKind::not_found;
  ErrorText text = error.text();
  if (text.where.empty())
    text.where = where;
  else if (!text.where.starts_with(where))
    text.where = fmt::format("{}: {}", where, text.where);
  return Error(own ? ErrorKind::corrupt_file : error.kind(), text);
}

int64_t opset_of(const OnnxFile& file) {
  int64_t opset = 0;
  for (const pb::OperatorSetIdProto& set : file.model.opset_import())
    if (set.domain().empty() || set.domain() == "ai.onnx") opset = set.version();
  if (opset < kOldestOnnxOpset || opset > kNewestOnnxOpset)
    throw Error(ErrorKind::unsupported,
                {.where = file.path,
                 .rule = "uses a version of the ONNX operators that is not read",
                 .expected = fmt::format("{} to {}", kOldestOnnxOpset, kNewestOnnxOpset),
                 .received = fmt::format("{}", opset)});
  return opset;
}

}  // namespace

const TensorData& OnnxTensors::read(const pb::TensorProto& form,
                                    std::optional<std::span<const std::byte>> raw,
                                    const std::string& where) {
  const auto found = known_.find(&form);
  if (found != known_.end()) return found->second;
  return known_.emplace(&form, onnx_tensor(file_, form, raw, where)).first->second;
}

OnnxImport::OnnxImport(OnnxTensors& tensors, const Sizes& sizes, int64_t default_size)
    : tensors_(tensors),
      file_(tensors.file()),
      sizes_(sizes),
      default_size_(default_size),
      opset_(opset_of(file_)) {}

std::string OnnxImport::where(const pb::NodeProto& node) const {
  std::string name = node.name();
  for (int i = 0; name.empty() && i < node.output_size(); ++i) name = node.output(i);
  return fmt::format("{}: {} '{}'", file_.path, node.op_type().substr(0, 100), name.substr(0, 200));
}

ValueId OnnxImport::find(const std::string& name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? kNoValue : found->second;
}

void OnnxImport::define(const std::string& name, ValueId value, const std::string& where) {
  if (!names_.emplace(name, value).second)
    throw Error(ErrorKind::corrupt_file,
                {.where = where, .rule = fmt::format("writes '{}' a second time", name)});
}

ValueId OnnxImport::constant(const std::string& name, const TensorData& data) {
  return builder_.constant(name, data);
}

const Numbers* OnnxImport::known(ValueId value) {
  const auto found = known_.find(value);
  if (found != known_.end()) return &found->second;
  const Value& v = builder_.graph().value(value);
  if (!v.constant || checked_numel(v.type.shape, v.name) > kMaxKnown) return nullptr;
  return &(known_[value] = read_numbers(v.type, *v.constant));
}

std::vector<ValueId> OnnxImport::add(Operation operation, std::vector<ValueId> inputs,
                                     const std::string& name) {
  const std::vector<ValueId> outputs = builder_.add_all(operation, inputs, name);
  bool is_known = is_light(operation);
  for (const ValueId id : outputs)
    is_known = is_known && checked_numel(builder_.graph().shape(id), name) <= kMaxKnown;
  std::vector<const Numbers*> numbers;
  for (size_t i = 0; is_known && i < inputs.size(); ++i) {
    numbers.push_back(inputs[i] == kNoValue ? nullptr : known(inputs[i]));
    is_known = inputs[i] == kNoValue || numbers.back() != nullptr;
  }
  if (!is_known) return outputs;
  std::vector<Numbers> results = interpret(operation, numbers, {.max_elements = kMaxKnown});
  for (size_t i = 0; i < outputs.size(); ++i) known_[outputs[i]] = std::move(results[i]);
  return outputs;
}

void OnnxImport::read_initializers(const pb::GraphProto& graph) {
  const auto define_tensor = [&](const pb::TensorProto& form, auto raw) {
    const std::string where =
        fmt::format("{}: initialiser '{}'", file_.path, form.name().substr(0, 200));
    if (form.name().empty())
      throw Error(ErrorKind::corrupt_file, {.where = where, .rule = "has no name"});
    define(form.name(), constant(form.name(), tensors_.read(form, raw, where)), where);
  };
  if (&graph == &file_.model.graph())
    for (const StoredTensor& tensor : file_.initializers) define_tensor(tensor.form, tensor.raw);
  for (const pb::TensorProto& form : graph.initializer()) define_tensor(form, std::nullopt);
  if (graph.sparse_initializer_size() > 0)
    throw Error(ErrorKind::unsupported, {.where = file_.path, .rule = "has sparse initialisers"});
}

void OnnxImport::read_inputs() {
  const pb::GraphProto& graph = file_.model.graph();
  const auto weights = static_cast<int64_t>(file_.initializers.size());
  if (graph.input_size() - weights > kMaxEnds || graph.output_size() > kMaxEnds)
    throw Error(ErrorKind::limit, {.where = file_.path,
                                   .rule = "has too many inputs or outputs",
                                   .expected = fmt::format("at most {}", kMaxEnds)});
  for (const pb::ValueInfoProto& input : file_.model.graph().input()) {
    // Before IR version 4 initialisers were inputs with a default.
    if (find(input.name()) != kNoValue) continue;
    const std::string where =
        fmt::format("{}: input '{}'", file_.path, input.name().substr(0, 200));
    if (input.name().empty())
      throw Error(ErrorKind::corrupt_file, {.where = where, .rule = "has no name"});
    const auto dtype = dtype_of_onnx(input.type().tensor_type().elem_type());
    if (!input.type().has_tensor_type() || !dtype)
      throw Error(ErrorKind::unsupported,
                  {.where = where, .rule = "is no tensor of a type that graphs have"});
    if (!input.type().tensor_type().has_shape())
      throw Error(ErrorKind::unsupported,
                  {.where = where, .rule = "does not say how many axes it has"});
    const pb::TensorShapeProto& form = input.type().tensor_type().shape();
    if (form.dim_size() > static_cast<int>(kMaxRank))
      throw Error(ErrorKind::limit, {.where = where, .rule = "has too many axes"});
    Shape shape;
    std::vector<SymbolRule> rules;
    for (int i = 0; i < form.dim_size(); ++i) {
      if (form.dim(i).has_dim_value()) {
        shape.push_back(form.dim(i).dim_value());
        rules.emplace_back();
        continue;
      }
      const std::string& param = form.dim(i).dim_param();
      SymbolRule rule =
          parse_dimension(param.empty() ? fmt::format("{}.{}", input.name(), i) : param);
      const auto given = sizes_.find(rule.symbol);
      const int64_t size = given == sizes_.end() ? default_size_ : given->second;
      int64_t number = 0;
      if (__builtin_mul_overflow(rule.factor, size, &number) ||
          __builtin_add_overflow(number, rule.offset, &number))
        throw Error(ErrorKind::limit, {.where = where, .rule = "has an axis beyond 64 bits"});
      shape.push_back(number);
      rules.push_back(std::move(rule));
    }
    checked_bytes(shape, *dtype, where);
    define(input.name(), builder_.input(input.name(), *dtype, shape, rules), where);
    for (const SymbolRule& rule : rules)
      if (!rule.symbol.empty()) {
        const auto given = sizes_.find(rule.symbol);
        Symbol& symbol = builder_.graph().symbols[rule.symbol];
        symbol.size = given == sizes_.end() ? default_size_ : given->second;
        symbol.min = std::min<int64_t>(symbol.min, symbol.size);
      }
    if (builder_.graph().symbols.size() > kMaxSymbols)
      throw Error(ErrorKind::limit, {.where = where,
                                     .rule = "leaves too many dimensions of the model open",
                                     .expected = fmt::format("at most {}", kMaxSymbols)});
  }
}

void OnnxImport::import_node(const pb::NodeProto& node, int nesting) {
  if (!node.domain().empty() && node.domain() != "ai.onnx")
    throw Error(ErrorKind::unsupported, {.where = where(node),
                                         .rule = "is an operator of a domain that is not read",
                                         .received = node.domain().substr(0, 200)});
  const auto found = onnx_operators().find(node.op_type());
  if (found == onnx_operators().end())
    throw Error(ErrorKind::unsupported,
                {.where = where(node), .rule = "is an operator that Residua does not have"});
  try {
    OnnxNode context(*this, node, nesting);
    found->second(context);
    context.finish();
  } catch (const Error& error) {
    throw as_file_error(error, where(node));
  }
}

void OnnxImport::import_nodes(const pb::GraphProto& graph, int nesting) {
  read_initializers(graph);
  if (&graph == &file_.model.graph()) read_inputs();
  for (const pb::NodeProto& node : graph.node()) import_node(node, nesting);
}

Graph OnnxImport::run() {
  try {
    import_nodes(file_.model.graph(), 0);
    for (const pb::ValueInfoProto& output : file_.model.graph().output()) {
      const ValueId id = find(output.name());
      if (id == kNoValue)
        throw Error(ErrorKind::corrupt_file, {.where = fmt::format("{}: output '{}'", file_.path,
                                                                   output.name().substr(0, 200)),
                                              .rule = "is written by no node"});
      builder_.output(output.name(), id);
    }
    for (const pb::StringStringEntryProto& entry : file_.model.metadata_props())
      builder_.graph().metadata[entry.key()] = entry.value();
    if (builder_.graph().outputs.empty())
      throw Error(ErrorKind::corrupt_file, {.where = file_.path, .rule = "has no output"});
    return without_unused(builder_.finish());
  } catch (const Error& error) {
    throw as_file_error(error, file_.path);
  }
}

namespace {

OnnxModel import_onnx(const std::shared_ptr<const OnnxFile>& file, const OnnxReadOptions& options) {
  if (file->model.functions_size() > 0)
    throw Error(ErrorKind::unsupported,
                {.where = file->path, .rule = "defines functions of its own"});
  OnnxTensors tensors(file);
  const GraphAtSizes build = [&](const Sizes& sizes) {
    return OnnxImport(tensors, sizes, options.default_size).run();
  };
  SizedGraph sized;
  try {
    sized = find_size_rules(options.sizes, build);
  } catch (const Error& error) {
    throw as_file_error(error, file->path);
  }
  std::vector<std::string> names;
  for (const auto& [name, symbol] : sized.graph.symbols) names.push_back(name);
  for (const auto& [name, place] : sized.fixed) {
    names.push_back(name);
    log_message(LogLevel::warning, fmt::format("[{}] the dimension '{}' has one size, because {} "
                                               "does not follow it",
                                               file->path, name, place));
  }
  for (const auto& [name, size] : options.sizes)
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw Error(ErrorKind::not_found, {.where = fmt::format("{}: {}", file->path, name),
                                         .rule = "is no named dimension of the model",
                                         .hint = nearest_names_hint(name, names)});
  return {std::move(sized.graph), std::move(sized.fixed)};
}

}  // namespace

OnnxModel read_onnx(const std::string& path, const OnnxReadOptions& options) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  return import_onnx(split_onnx(map_file(path), path, folder), options);
}

OnnxModel parse_onnx(OwnedBytes bytes, const std::string& name, const OnnxReadOptions& options) {
  return import_onnx(split_onnx(std::move(bytes), name, std::nullopt), options);
}

}  // namespace residua
