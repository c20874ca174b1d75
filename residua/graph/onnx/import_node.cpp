#include <fmt/format.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/graph/onnx/import.h"

namespace residua {

int64_t whole_number(double number) {
  if (std::isnan(number)) return 0;
  if (number >= 9.2233720368547758e18) return INT64_MAX;
  if (number <= -9.2233720368547758e18) return INT64_MIN;
  return static_cast<int64_t>(number);
}

OnnxNode::OnnxNode(OnnxImport& import, const pb::NodeProto& node, int nesting)
    : import_(import), node_(node), nesting_(nesting), where_(import.where(node)) {
  std::set<std::string_view> seen;
  for (const pb::AttributeProto& a : node_.attribute()) {
    if (!seen.insert(a.name()).second) refuse("has an attribute twice", {}, a.name());
    if (!a.ref_attr_name().empty()) refuse("refers to a function's attribute outside a function");
  }
}

void OnnxNode::finish() {
  for (const pb::AttributeProto& a : node_.attribute())
    if (!understood_.contains(a.name()))
      unsupported(fmt::format("has the attribute '{}', which is not understood", a.name()));
  for (size_t i = 0; i < outputs(); ++i)
    if (wants(i) && !given_.contains(i))
      unsupported(fmt::format("is asked for its output {}, which Residua does not compute", i));
}

void OnnxNode::refuse(std::string rule, std::string expected, std::string received) const {
  throw Error(ErrorKind::corrupt_file, {.where = where_,
                                        .rule = std::move(rule),
                                        .expected = std::move(expected),
                                        .received = std::move(received)});
}

void OnnxNode::unsupported(std::string rule, std::string received) const {
  throw Error(ErrorKind::unsupported,
              {.where = where_, .rule = std::move(rule), .received = std::move(received)});
}

ValueId OnnxNode::find(size_t i) const {
  if (!has(i)) return kNoValue;
  const std::string& name = node_.input(static_cast<int>(i));
  const ValueId id = import_.find(name);
  if (id == kNoValue)
    refuse(fmt::format("reads '{}', which nothing before it writes", name),
           "nodes in an order in which they can run");
  return id;
}

ValueId OnnxNode::in(size_t i) const {
  if (!has(i)) refuse(fmt::format("lacks its input {}", i));
  return find(i);
}

int64_t OnnxNode::axis(int64_t axis, int64_t rank) const {
  if (axis < -rank || axis >= rank)
    refuse("names an axis that its input does not have", fmt::format("{} to {}", -rank, rank - 1),
           fmt::format("{}", axis));
  return axis < 0 ? axis + rank : axis;
}

bool OnnxNode::has_attribute(std::string_view name) const {
  for (const pb::AttributeProto& a : node_.attribute())
    if (a.name() == name) return true;
  return false;
}

const pb::AttributeProto* OnnxNode::attribute(std::string_view name,
                                              pb::AttributeProto::AttributeType type) {
  for (const pb::AttributeProto& a : node_.attribute()) {
    if (a.name() != name) continue;
    if (a.type() != type) refuse(fmt::format("has an attribute '{}' of another type", name));
    understood_.insert(a.name());
    return &a;
  }
  return nullptr;
}

int64_t OnnxNode::integer(std::string_view name, int64_t missing) {
  const auto* a = attribute(name, pb::AttributeProto::INT);
  return a == nullptr ? missing : a->i();
}

double OnnxNode::number(std::string_view name, double missing) {
  const auto* a = attribute(name, pb::AttributeProto::FLOAT);
  return a == nullptr ? missing : a->f();
}

std::string OnnxNode::text(std::string_view name, std::string missing) {
  const auto* a = attribute(name, pb::AttributeProto::STRING);
  return a == nullptr ? missing : a->s();
}

std::vector<int64_t> OnnxNode::integers(std::string_view name, std::vector<int64_t> missing) {
  const auto* a = attribute(name, pb::AttributeProto::INTS);
  return a == nullptr ? missing : std::vector<int64_t>(a->ints().begin(), a->ints().end());
}

std::vector<double> OnnxNode::reals(std::string_view name) {
  const auto* a = attribute(name, pb::AttributeProto::FLOATS);
  return a == nullptr ? std::vector<double>{}
                      : std::vector<double>(a->floats().begin(), a->floats().end());
}

std::optional<TensorData> OnnxNode::tensor(std::string_view name) {
  const auto* a = attribute(name, pb::AttributeProto::TENSOR);
  if (a == nullptr) return std::nullopt;
  return import_.tensors().read(a->t(), std::nullopt, where_);
}

const pb::GraphProto* OnnxNode::graph(std::string_view name) {
  const auto* a = attribute(name, pb::AttributeProto::GRAPH);
  return a == nullptr ? nullptr : &a->g();
}

void OnnxNode::ignore(std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names)
    for (const pb::AttributeProto& a : node_.attribute())
      if (a.name() == name) understood_.insert(a.name());
}

const Numbers& OnnxNode::known(size_t i) const {
  if (const Numbers* numbers = import_.known(in(i))) return *numbers;
  unsupported(
      fmt::format("has an input {} that depends on the data, or is too large, where a shape "
                  "or a setting is needed",
                  i));
}

std::vector<int64_t> OnnxNode::numbers(size_t i) const {
  std::vector<int64_t> whole;
  for (const double number : known(i).data) whole.push_back(whole_number(number));
  return whole;
}

int64_t OnnxNode::one_number(size_t i) const {
  const std::vector<int64_t> all = numbers(i);
  if (all.size() != 1)
    refuse(fmt::format("needs one number as input {}", i), {}, fmt::format("{}", all.size()));
  return all.front();
}

std::vector<ValueId> OnnxNode::add_all(Operation operation, std::vector<ValueId> inputs) {
  while (!inputs.empty() && inputs.back() == kNoValue) inputs.pop_back();
  return import_.add(std::move(operation), std::move(inputs), node_.name());
}

ValueId OnnxNode::add(Operation operation, std::vector<ValueId> inputs) {
  return add_all(std::move(operation), std::move(inputs)).front();
}

ValueId OnnxNode::scalar(double value, DType dtype) {
  const Numbers numbers{{dtype, {}}, {value}};
  const ConstantData data = write_numbers(numbers);
  return import_.constant(node_.name().empty() ? "number" : node_.name() + ".number",
                          {{{}, dtype, {}}, data.owner, data.bytes});
}

ValueId OnnxNode::list(const std::vector<int64_t>& numbers) {
  Numbers list{{DType::i64, {static_cast<int64_t>(numbers.size())}}, {}};
  for (const int64_t number : numbers) list.data.push_back(static_cast<double>(number));
  const ConstantData data = write_numbers(list);
  return import_.constant(node_.name().empty() ? "places" : node_.name() + ".places",
                          {{{}, DType::i64, list.type.shape}, data.owner, data.bytes});
}

ValueId OnnxNode::reshape(ValueId x, std::vector<int64_t> sizes) {
  return add(op::Reshape{std::move(sizes)}, {x});
}

void OnnxNode::give(ValueId value, size_t output) {
  given_.insert(output);
  if (wants(output)) import_.define(node_.output(static_cast<int>(output)), value, where_);
}

}  // namespace residua
