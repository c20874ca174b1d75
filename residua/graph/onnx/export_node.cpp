#include <fmt/format.h>

#include <algorithm>

#include "residua/core/error.h"
#include "residua/graph/onnx/export.h"

namespace residua {

namespace {

void write_attribute(pb::NodeProto& node, const OnnxAttribute& attribute) {
  pb::AttributeProto& to = *node.add_attribute();
  to.set_name(attribute.name);
  if (const auto* i = std::get_if<int64_t>(&attribute.value)) {
    to.set_type(pb::AttributeProto::INT);
    to.set_i(*i);
  } else if (const auto* f = std::get_if<double>(&attribute.value)) {
    to.set_type(pb::AttributeProto::FLOAT);
    to.set_f(static_cast<float>(*f));
  } else if (const auto* s = std::get_if<std::string>(&attribute.value)) {
    to.set_type(pb::AttributeProto::STRING);
    to.set_s(*s);
  } else {
    to.set_type(pb::AttributeProto::INTS);
    for (const int64_t n : std::get<std::vector<int64_t>>(attribute.value)) to.add_ints(n);
  }
}

}  // namespace

OnnxLowering::OnnxLowering(OnnxExport& out, const Node& node)
    : out_(out), node_(node), first_node_(out.form().node_size()) {}

void OnnxLowering::finish() {
  for (const NodeRule& rule : node_.rules)
    if (!followed_.contains({rule.field, rule.index}))
      unsupported(fmt::format("has the setting '{}' follow the symbol '{}', which ONNX cannot say",
                              rule.field, rule.rule.symbol));
  if (given_.size() != node_.outputs.size())
    throw Error(ErrorKind::internal, {.where = label(out_.graph(), node_),
                                      .rule = "was not written to ONNX completely"});
}

void OnnxLowering::unsupported(std::string rule) const {
  throw Error(ErrorKind::unsupported,
              {.where = label(out_.graph(), node_), .rule = std::move(rule)});
}

std::string OnnxLowering::in(size_t i) const {
  return has(i) ? out_.graph().value(node_.inputs[i]).name : std::string();
}

bool OnnxLowering::all_fixed(size_t input, size_t first_axis) const {
  for (size_t axis = first_axis; axis < shape(input).size(); ++axis)
    if (!is_fixed(input, axis)) return false;
  return true;
}

std::string OnnxLowering::parameter(size_t i, DType dtype) {
  return !has(i) || type(i).dtype == dtype ? in(i) : cast(in(i), dtype);
}

OnnxNames OnnxLowering::emit_all(const std::string& op, OnnxNames inputs, size_t outputs,
                                 OnnxAttributes attributes) {
  pb::NodeProto& node = *out_.form().add_node();
  node.set_op_type(op);
  const std::string base = out_.graph().value(node_.outputs[0]).name + "/" + op;
  while (!inputs.empty() && inputs.back().empty()) inputs.pop_back();
  for (const std::string& input : inputs) node.add_input(input);
  OnnxNames names;
  for (size_t i = 0; i < outputs; ++i) {
    names.push_back(out_.fresh(base));
    node.add_output(names.back());
  }
  node.set_name(node_.name.empty() ? names.front() : node_.name + "/" + names.front());
  for (const OnnxAttribute& attribute : attributes) write_attribute(node, attribute);
  return names;
}

std::string OnnxLowering::emit(const std::string& op, OnnxNames inputs, OnnxAttributes attributes) {
  return emit_all(op, std::move(inputs), 1, std::move(attributes)).front();
}

// The value gets the name that the graph has for it.
void OnnxLowering::give(const std::string& name, size_t output) {
  const std::string& wanted = out_.graph().value(node_.outputs[output]).name;
  given_.insert(output);
  bool found = false;
  for (int n = first_node_; n < out_.form().node_size(); ++n) {
    pb::NodeProto& node = *out_.form().mutable_node(n);
    for (std::string& written : *node.mutable_output())
      if (written == name) {
        written = wanted;
        found = true;
      }
    for (std::string& read : *node.mutable_input())
      if (found && read == name) read = wanted;
  }
  if (found) return;
  pb::NodeProto& node = *out_.form().add_node();
  node.set_op_type("Identity");
  node.set_name(wanted);
  node.add_input(name);
  node.add_output(wanted);
}

std::string OnnxLowering::scalar(double number, DType dtype) {
  return out_.constant({{dtype, {}}, {number}});
}

std::string OnnxLowering::list(const std::vector<int64_t>& numbers) {
  Numbers list{{DType::i64, {static_cast<int64_t>(numbers.size())}}, {}};
  for (const int64_t number : numbers) list.data.push_back(static_cast<double>(number));
  return out_.constant(list);
}

std::string OnnxLowering::numbers(Shape shape, double number, DType dtype) {
  const auto count = static_cast<size_t>(checked_numel(shape, "constant"));
  return out_.constant({{dtype, std::move(shape)}, std::vector<double>(count, number)});
}

std::string OnnxLowering::cast(const std::string& x, DType dtype) {
  return emit("Cast", {x}, {{"to", static_cast<int64_t>(onnx_of_dtype(dtype))}});
}

bool OnnxLowering::follows(const std::string& field, int64_t index) const {
  return std::any_of(node_.rules.begin(), node_.rules.end(), [&](const NodeRule& rule) {
    return rule.field == field && rule.index == index;
  });
}

std::string OnnxLowering::setting(const std::string& field, int64_t number, int64_t index) {
  for (const NodeRule& rule : node_.rules) {
    if (rule.field != field || rule.index != index) continue;
    followed_.insert({field, index});
    std::string value = out_.symbol(rule.rule.symbol);
    if (rule.rule.factor != 1) value = emit("Mul", {value, list({rule.rule.factor})});
    if (rule.rule.offset != 0) value = emit("Add", {value, list({rule.rule.offset})});
    return value;
  }
  return list({number});
}

std::string OnnxLowering::settings(const std::string& field, const std::vector<int64_t>& numbers) {
  bool any = false;
  for (size_t i = 0; i < numbers.size(); ++i) any |= follows(field, static_cast<int64_t>(i));
  if (!any) return list(numbers);
  OnnxNames parts;
  for (size_t i = 0; i < numbers.size(); ++i)
    parts.push_back(setting(field, numbers[i], static_cast<int64_t>(i)));
  return parts.size() == 1 ? parts.front() : emit("Concat", parts, {{"axis", int64_t{0}}});
}

std::string OnnxLowering::as_scalar(const std::string& one) {
  return emit("Squeeze", {one, list({0})});
}

}  // namespace residua
