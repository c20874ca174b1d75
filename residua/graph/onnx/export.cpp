#include "residua/graph/onnx/export.h"

#include <fmt/format.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <cstring>

#include "residua/core/error.h"
#include "residua/graph/onnx/onnx.h"
#include "residua/graph/size_rules.h"
#include "residua/io/atomic_file.h"

namespace residua {

OnnxExport::OnnxExport(const Graph& graph) : graph_(graph) {
  verify(graph_);
  for (const Value& value : graph_.values) names_.insert(value.name);
  find_open_axes();
}

// Axes are open when they change with a symbol's size.
void OnnxExport::find_open_axes() {
  for (const auto& [name, symbol] : graph_.symbols) {
    std::vector<std::pair<int64_t, Graph>> others;
    for (const int64_t step : {1, 2, 4, 8, 16, 32, 64, -1, -2, -4, -8, -16, -32}) {
      others.clear();
      for (const int64_t steps : {1, 2}) {
        const int64_t size = symbol.size + steps * step;
        try {
          others.emplace_back(size, with_sizes(graph_, {{name, size}}));
        } catch (const Error&) {
          break;
        }
      }
      if (others.size() == 2) break;
    }
    if (others.empty())
      throw Error(ErrorKind::unsupported,
                  {.where = name,
                   .rule = "is a symbol of which the graph takes one size only",
                   .hint = "make the graph without that symbol"});
    for (size_t id = 0; id < graph_.values.size(); ++id) {
      const Shape& shape = graph_.values[id].type.shape;
      for (size_t axis = 0; axis < shape.size(); ++axis) {
        std::vector<NumberAt> points{{symbol.size, shape[axis]}};
        bool varies = false;
        for (const auto& [size, graph] : others) {
          points.push_back({size, graph.values[id].type.shape[axis]});
          varies |= points.back().number != shape[axis];
        }
        if (!varies) continue;
        const auto rule = points.size() > 2 ? rule_through(name, points) : std::nullopt;
        const auto [place, first] = open_.try_emplace({static_cast<ValueId>(id), axis},
                                                      rule ? dimension_text(*rule) : std::string());
        if (!first) place->second.clear();
      }
    }
  }
}

bool OnnxExport::is_fixed(ValueId value, size_t axis) const {
  return !open_.contains({value, axis});
}

std::string OnnxExport::fresh(const std::string& base) {
  std::string name = base;
  for (int64_t i = 1; !names_.insert(name).second; ++i) name = fmt::format("{}.{}", base, i);
  return name;
}

std::string OnnxExport::constant(const Numbers& numbers) {
  const ConstantData data = write_numbers(numbers);
  const std::string bytes(reinterpret_cast<const char*>(data.bytes.data()), data.bytes.size());
  const std::string key =
      fmt::format("{}{}:", to_string(numbers.type.dtype), to_string(numbers.type.shape)) + bytes;
  const auto [found, is_new] = constants_.try_emplace(key);
  if (!is_new) return found->second;
  pb::TensorProto& form = *this->form().add_initializer();
  found->second = fresh("constant");
  form.set_name(found->second);
  form.set_data_type(onnx_of_dtype(numbers.type.dtype));
  for (const int64_t size : numbers.type.shape) form.add_dims(size);
  form.set_raw_data(bytes);
  return found->second;
}

// From the size of an input's axis: (size - offset) / factor.
std::string OnnxExport::symbol(const std::string& symbol) {
  const auto [found, is_new] = symbols_.try_emplace(symbol);
  if (!is_new) return found->second;
  const AxisRule* axis = nullptr;
  for (const AxisRule& rule : graph_.axes)
    if (rule.rule.symbol == symbol && rule.rule.factor != 0 &&
        (axis == nullptr || std::abs(rule.rule.factor) < std::abs(axis->rule.factor)))
      axis = &rule;
  if (axis == nullptr)
    throw Error(ErrorKind::unsupported,
                {.where = symbol, .rule = "is a symbol that no axis of an input follows"});
  const auto node = [&](const std::string& op, const OnnxNames& inputs) {
    pb::NodeProto& to = *form().add_node();
    to.set_op_type(op);
    for (const std::string& input : inputs) to.add_input(input);
    const std::string name = fresh(symbol + "/" + op);
    to.set_name(name);
    to.add_output(name);
    return &to;
  };
  const auto number = [&](int64_t n) {
    Numbers one;
    one.type = {DType::i64, {1}};
    one.data = {static_cast<double>(n)};
    return constant(one);
  };
  pb::NodeProto* last = node("Shape", {graph_.value(axis->value).name});
  for (const auto& [name, at] :
       {std::pair("start", axis->axis), std::pair("end", axis->axis + 1)}) {
    pb::AttributeProto& attribute = *last->add_attribute();
    attribute.set_name(name);
    attribute.set_type(pb::AttributeProto::INT);
    attribute.set_i(at);
  }
  std::string value = last->output(0);
  if (axis->rule.offset != 0) value = node("Sub", {value, number(axis->rule.offset)})->output(0);
  if (axis->rule.factor != 1) value = node("Div", {value, number(axis->rule.factor)})->output(0);
  return symbols_[symbol] = value;
}

pb::ValueInfoProto OnnxExport::value_info(ValueId id) const {
  const Value& value = graph_.value(id);
  pb::ValueInfoProto info;
  info.set_name(value.name);
  pb::TypeProto::Tensor& type = *info.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx_of_dtype(value.type.dtype));
  type.mutable_shape();  // of no axis, where there is none
  for (size_t axis = 0; axis < value.type.shape.size(); ++axis) {
    auto& dimension = *type.mutable_shape()->add_dim();
    const auto open = open_.find({id, axis});
    if (open == open_.end())
      dimension.set_dim_value(value.type.shape[axis]);
    else if (!open->second.empty())
      dimension.set_dim_param(open->second);
  }
  return info;
}

void OnnxExport::write_inputs() {
  for (const ValueId id : graph_.inputs) *form().add_input() = value_info(id);
}

void OnnxExport::write_outputs() {
  for (const ValueId id : graph_.outputs) *form().add_output() = value_info(id);
}

pb::ModelProto OnnxExport::run() {
  model_.set_ir_version(kOnnxIrVersion);
  model_.set_producer_name("residua");
  pb::OperatorSetIdProto& opset = *model_.add_opset_import();
  opset.set_domain("");
  opset.set_version(kOnnxOpset);
  form().set_name("graph");
  write_inputs();
  for (const Node& node : graph_.nodes) {
    OnnxLowering context(*this, node);
    std::visit([&](const auto& operation) { lower(operation, context); }, node.operation);
    context.finish();
  }
  write_outputs();
  for (const auto& [key, value] : graph_.metadata) {
    pb::StringStringEntryProto& entry = *model_.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  return std::move(model_);
}

namespace {

constexpr uint64_t kExternalAlignment = 64;

// Constants that something reads.
std::vector<ValueId> read_constants(const Graph& graph) {
  std::vector<bool> read(graph.values.size(), false);
  for (const Node& node : graph.nodes)
    for (const ValueId id : node.inputs)
      if (id != kNoValue) read[static_cast<size_t>(id)] = true;
  for (const ValueId id : graph.outputs) read[static_cast<size_t>(id)] = true;
  std::vector<ValueId> constants;
  for (size_t id = 0; id < read.size(); ++id)
    if (read[id] && graph.values[id].constant) constants.push_back(static_cast<ValueId>(id));
  return constants;
}

void set_external(pb::TensorProto& form, const std::string& key, const std::string& value) {
  pb::StringStringEntryProto& entry = *form.add_external_data();
  entry.set_key(key);
  entry.set_value(value);
}

// Appends the data of a tensor to the file beside the model.
void write_external(pb::TensorProto& form, AtomicFile& data, std::span<const std::byte> bytes) {
  const uint64_t gap =
      (kExternalAlignment - data.bytes_written() % kExternalAlignment) % kExternalAlignment;
  data.write(std::string(gap, '\0'));
  form.set_data_location(pb::TensorProto::EXTERNAL);
  const size_t slash = data.path().rfind('/');
  set_external(form, "location",
               slash == std::string::npos ? data.path() : data.path().substr(slash + 1));
  set_external(form, "offset", fmt::format("{}", data.bytes_written()));
  set_external(form, "length", fmt::format("{}", bytes.size()));
  data.write(bytes);
}

class FileStream : public google::protobuf::io::CopyingOutputStream {
 public:
  explicit FileStream(AtomicFile& file) : file_(file) {}
  bool Write(const void* bytes, int size) override {
    file_.write(std::span(static_cast<const std::byte*>(bytes), static_cast<size_t>(size)));
    return true;
  }

 private:
  AtomicFile& file_;
};

}  // namespace

void write_onnx(const Graph& graph, const std::string& path, const OnnxWriteOptions& options) {
  pb::ModelProto model = OnnxExport(graph).run();
  const std::vector<ValueId> constants = read_constants(graph);
  int64_t total = 0;
  for (const ValueId id : constants)
    total += static_cast<int64_t>(graph.value(id).constant->bytes.size());
  std::optional<AtomicFile> data;
  if (total > options.external_above) data.emplace(path + ".data");
  for (const ValueId id : constants) {
    const Value& value = graph.value(id);
    pb::TensorProto& form = *model.mutable_graph()->add_initializer();
    form.set_name(value.name);
    form.set_data_type(onnx_of_dtype(value.type.dtype));
    for (const int64_t size : value.type.shape) form.add_dims(size);
    const auto& bytes = value.constant->bytes;
    if (data)
      write_external(form, *data, bytes);
    else
      form.set_raw_data(bytes.data(), bytes.size());
  }
  AtomicFile file(path);
  {
    FileStream stream(file);
    google::protobuf::io::CopyingOutputStreamAdaptor adaptor(&stream);
    if (!model.SerializeToZeroCopyStream(&adaptor))
      throw Error(ErrorKind::limit, {.where = path, .rule = "is too large for one ONNX file"});
  }
  if (data) data->commit();
  file.commit();
}

}  // namespace residua
