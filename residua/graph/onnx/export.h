#pragma once
// Graph operations to ONNX nodes (internal to graph/onnx). Each `lower` writes one operation as
// standard operators; files export_*.cpp hold those of one kind.

#include <map>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "residua/graph/numbers.h"
#include "residua/graph/onnx/form.h"

namespace residua {

struct OnnxAttribute {
  std::string name;
  std::variant<int64_t, double, std::string, std::vector<int64_t>> value;
};
using OnnxAttributes = std::vector<OnnxAttribute>;
using OnnxNames = std::vector<std::string>;

// The model that is being written.
class OnnxExport {
 public:
  explicit OnnxExport(const Graph& graph);
  pb::ModelProto run();  // without the data of the graph's constants

  const Graph& graph() const { return graph_; }
  pb::GraphProto& form() { return *model_.mutable_graph(); }

  std::string fresh(const std::string& base);     // a name that no value has
  std::string constant(const Numbers& numbers);   // equal ones are written once
  std::string symbol(const std::string& symbol);  // [1] I64: the size that it has at run time
  bool is_fixed(ValueId value, size_t axis) const;

 private:
  void find_open_axes();
  void write_inputs();
  void write_outputs();
  pb::ValueInfoProto value_info(ValueId id) const;

  const Graph& graph_;
  pb::ModelProto model_;
  std::unordered_set<std::string> names_;
  std::map<std::string, std::string> constants_, symbols_;
  // Axes that do not have one size, with the text of what they follow, empty where it is not
  // factor * symbol + offset.
  std::map<std::pair<ValueId, size_t>, std::string> open_;
};

// One operation while it is written.
class OnnxLowering {
 public:
  OnnxLowering(OnnxExport& out, const Node& node);
  void finish();  // checks that outputs are written and rules were followed

  size_t inputs() const { return node_.inputs.size(); }
  bool has(size_t i) const { return i < inputs() && node_.inputs[i] != kNoValue; }
  std::string in(size_t i) const;
  const TensorType& type(size_t i) const { return out_.graph().value(node_.inputs[i]).type; }
  const Shape& shape(size_t i) const { return type(i).shape; }
  const TensorType& output_type() const { return out_.graph().value(node_.outputs[0]).type; }
  bool is_fixed(size_t input, size_t axis) const {
    return out_.is_fixed(node_.inputs[input], axis);
  }
  bool all_fixed(size_t input, size_t first_axis = 0) const;
  std::string parameter(size_t i, DType dtype);  // an input, cast where its type is another

  std::string emit(const std::string& op, OnnxNames inputs, OnnxAttributes attributes = {});
  OnnxNames emit_all(const std::string& op, OnnxNames inputs, size_t outputs,
                     OnnxAttributes attributes = {});
  void give(const std::string& name, size_t output = 0);

  std::string scalar(double number, DType dtype);
  std::string list(const std::vector<int64_t>& numbers);
  std::string numbers(Shape shape, double number, DType dtype);  // the same everywhere
  std::string cast(const std::string& x, DType dtype);
  std::string activate(std::string x, const op::Activation& f, DType dtype);

  // Settings that may follow symbols, as values of the model.
  bool follows(const std::string& field, int64_t index = 0) const;
  std::string setting(const std::string& field, int64_t number, int64_t index = 0);  // [1] I64
  std::string settings(const std::string& field, const std::vector<int64_t>& numbers);
  std::string as_scalar(const std::string& one);  // [1] to []

  [[noreturn]] void unsupported(std::string rule) const;

 private:
  OnnxExport& out_;
  const Node& node_;
  std::set<std::pair<std::string, int64_t>> followed_;
  std::set<size_t> given_;
  int first_node_;
};

void lower(const op::Conv&, OnnxLowering&);
void lower(const op::ConvTranspose&, OnnxLowering&);
void lower(const op::Linear&, OnnxLowering&);
void lower(const op::MatMul&, OnnxLowering&);
void lower(const op::Attention&, OnnxLowering&);
void lower(const op::FusedBlock&, OnnxLowering&);
void lower(const op::BatchNorm&, OnnxLowering&);
void lower(const op::LayerNorm&, OnnxLowering&);
void lower(const op::GroupNorm&, OnnxLowering&);
void lower(const op::Pool&, OnnxLowering&);
void lower(const op::AdaptivePool&, OnnxLowering&);
void lower(const op::Reduce&, OnnxLowering&);
void lower(const op::Unary&, OnnxLowering&);
void lower(const op::Binary&, OnnxLowering&);
void lower(const op::Where&, OnnxLowering&);
void lower(const op::Softmax&, OnnxLowering&);
void lower(const op::ArgMax&, OnnxLowering&);
void lower(const op::TopK&, OnnxLowering&);
void lower(const op::CumulativeSum&, OnnxLowering&);
void lower(const op::Quantize&, OnnxLowering&);
void lower(const op::Dequantize&, OnnxLowering&);
void lower(const op::Reshape&, OnnxLowering&);
void lower(const op::Transpose&, OnnxLowering&);
void lower(const op::Expand&, OnnxLowering&);
void lower(const op::Concat&, OnnxLowering&);
void lower(const op::Slice&, OnnxLowering&);
void lower(const op::Pad&, OnnxLowering&);
void lower(const op::Gather&, OnnxLowering&);
void lower(const op::Cast&, OnnxLowering&);
void lower(const op::Arange&, OnnxLowering&);
void lower(const op::Fill&, OnnxLowering&);
void lower(const op::Triangle&, OnnxLowering&);
void lower(const op::Resize&, OnnxLowering&);
void lower(const op::PixelShuffle&, OnnxLowering&);

}  // namespace residua
