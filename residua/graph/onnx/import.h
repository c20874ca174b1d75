#pragma once
// ONNX nodes to graph operations (internal to graph/onnx). A file import_*.cpp holds the operators
// of one kind; each is a function of one node, found by name in the table.

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "residua/graph/numbers.h"
#include "residua/graph/onnx/form.h"
#include "residua/graph/size_rules.h"

namespace residua {

class OnnxNode;
using OnnxOperator = void (*)(OnnxNode&);
using OnnxOperators = std::unordered_map<std::string_view, OnnxOperator>;

void add_layer_operators(OnnxOperators& table);
void add_number_operators(OnnxOperators& table);
void add_reduce_operators(OnnxOperators& table);
void add_layout_operators(OnnxOperators& table);
void add_shape_operators(OnnxOperators& table);
void add_resize_operators(OnnxOperators& table);

// A model's tensors, each decoded once for the graphs of all sizes.
class OnnxTensors {
 public:
  explicit OnnxTensors(std::shared_ptr<const OnnxFile> file) : file_(std::move(file)) {}
  const OnnxFile& file() const { return *file_; }
  const TensorData& read(const pb::TensorProto& form, std::optional<std::span<const std::byte>> raw,
                         const std::string& where);

 private:
  std::shared_ptr<const OnnxFile> file_;
  std::unordered_map<const pb::TensorProto*, TensorData> known_;
};

// The graph of one model at one set of sizes.
class OnnxImport {
 public:
  OnnxImport(OnnxTensors& tensors, const Sizes& sizes, int64_t default_size);
  Graph run();

  OnnxTensors& tensors() { return tensors_; }
  int64_t opset() const { return opset_; }
  GraphBuilder& builder() { return builder_; }

  ValueId find(const std::string& name) const;  // kNoValue when nothing has written it
  void define(const std::string& name, ValueId value, const std::string& where);
  std::vector<ValueId> add(Operation operation, std::vector<ValueId> inputs,
                           const std::string& name);
  ValueId constant(const std::string& name, const TensorData& data);

  // The numbers of a value that depends on no input's elements, or null. Only small values have
  // them: they are what shapes are computed from.
  const Numbers* known(ValueId value);

  void import_nodes(const pb::GraphProto& graph, int nesting);
  std::string where(const pb::NodeProto& node) const;

 private:
  void read_inputs();
  void read_initializers(const pb::GraphProto& graph);
  void import_node(const pb::NodeProto& node, int nesting);

  OnnxTensors& tensors_;
  const OnnxFile& file_;
  Sizes sizes_;
  int64_t default_size_;
  int64_t opset_ = 0;
  GraphBuilder builder_;
  std::unordered_map<std::string, ValueId> names_;
  std::unordered_map<ValueId, Numbers> known_;
};

// One node while it is imported. Every attribute must be asked for: one that is not understood is
// refused, not ignored.
class OnnxNode {
 public:
  OnnxNode(OnnxImport& import, const pb::NodeProto& node, int nesting);
  void finish();  // checks that all attributes were understood and the outputs given

  int64_t opset() const { return import_.opset(); }
  const std::string& op() const { return node_.op_type(); }
  OnnxImport& import() { return import_; }
  const std::string& where() const { return where_; }
  int nesting() const { return nesting_; }

  size_t inputs() const { return static_cast<size_t>(node_.input_size()); }
  bool has(size_t i) const { return i < inputs() && !node_.input(static_cast<int>(i)).empty(); }
  ValueId in(size_t i) const;    // refused when missing
  ValueId find(size_t i) const;  // kNoValue when missing
  size_t outputs() const { return static_cast<size_t>(node_.output_size()); }
  bool wants(size_t i) const { return i < outputs() && !node_.output(static_cast<int>(i)).empty(); }

  const TensorType& type(ValueId id) const { return import_.builder().graph().value(id).type; }
  const Shape& shape(ValueId id) const { return type(id).shape; }
  int64_t rank(ValueId id) const { return static_cast<int64_t>(shape(id).size()); }
  int64_t axis(int64_t axis, int64_t rank) const;  // from 0 up; refused when there is none

  // Attributes.
  bool has_attribute(std::string_view name) const;
  int64_t integer(std::string_view name, int64_t missing);
  double number(std::string_view name, double missing);
  std::string text(std::string_view name, std::string missing);
  std::vector<int64_t> integers(std::string_view name, std::vector<int64_t> missing);
  std::vector<double> reals(std::string_view name);
  std::optional<TensorData> tensor(std::string_view name);
  const pb::GraphProto* graph(std::string_view name);
  void ignore(std::initializer_list<std::string_view> names);

  // Elements of inputs that only shapes and constants determine.
  const Numbers& known(size_t i) const;  // refused when they depend on data
  std::vector<int64_t> numbers(size_t i) const;
  int64_t one_number(size_t i) const;

  ValueId add(Operation operation, std::vector<ValueId> inputs);
  std::vector<ValueId> add_all(Operation operation, std::vector<ValueId> inputs);
  ValueId scalar(double value, DType dtype);
  ValueId list(const std::vector<int64_t>& numbers);  // I64
  ValueId reshape(ValueId x, std::vector<int64_t> sizes);
  void give(ValueId value, size_t output = 0);

  [[noreturn]] void refuse(std::string rule, std::string expected = {},
                           std::string received = {}) const;  // breaks the format
  [[noreturn]] void unsupported(std::string rule, std::string received = {}) const;

 private:
  const pb::AttributeProto* attribute(std::string_view name,
                                      pb::AttributeProto::AttributeType type);

  OnnxImport& import_;
  const pb::NodeProto& node_;
  int nesting_;
  std::string where_;
  std::set<std::string_view> understood_;
  std::set<size_t> given_;
};

// A whole number for what a shape computation gave; saturated.
int64_t whole_number(double number);

}  // namespace residua
