// Constants, shapes and what is computed from them, and branches.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "residua/graph/onnx/import.h"

namespace residua {

namespace {

void import_identity(OnnxNode& n) { n.give(n.in(0)); }

void import_dropout(OnnxNode& n) {
  n.ignore({"ratio", "seed"});
  if (n.has(2) && n.one_number(2) != 0) n.unsupported("is in training mode");
  n.give(n.in(0));
}

ValueId number_list(OnnxNode& n, const std::vector<double>& numbers, DType dtype, bool scalar) {
  const Numbers list{{dtype, scalar ? Shape{} : Shape{static_cast<int64_t>(numbers.size())}},
                     numbers};
  const ConstantData data = write_numbers(list);
  return n.import().constant("constant", {{{}, dtype, list.type.shape}, data.owner, data.bytes});
}

void import_constant(OnnxNode& n) {
  if (const auto tensor = n.tensor("value"))
    return n.give(n.import().constant("constant", *tensor));
  if (n.has_attribute("value_float"))
    return n.give(number_list(n, {n.number("value_float", 0)}, DType::f32, true));
  if (n.has_attribute("value_int"))
    return n.give(n.reshape(n.list({n.integer("value_int", 0)}), {}));
  if (n.has_attribute("value_floats"))
    return n.give(number_list(n, n.reals("value_floats"), DType::f32, false));
  if (n.has_attribute("value_ints")) return n.give(n.list(n.integers("value_ints", {})));
  n.unsupported("is a constant of a kind that graphs do not have");
}

// Each size is a range of one number, which a rule can follow.
void import_shape(OnnxNode& n) {
  const Shape shape = n.shape(n.in(0));
  const auto rank = static_cast<int64_t>(shape.size());
  const auto place = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const int64_t start = place(n.integer("start", 0)), end = place(n.integer("end", rank));
  std::vector<ValueId> sizes;
  for (int64_t i = start; i < end; ++i) {
    const int64_t size = shape[static_cast<size_t>(i)];
    sizes.push_back(n.add(op::Arange{size, size + 1}, {}));
  }
  n.give(sizes.empty() ? n.list({}) : n.add(op::Concat{0}, sizes));
}

void import_size(OnnxNode& n) {
  std::vector<ValueId> sizes;
  for (const int64_t size : Shape(n.shape(n.in(0))))
    sizes.push_back(n.add(op::Arange{size, size + 1}, {}));
  const ValueId shape = sizes.empty() ? n.list({}) : n.add(op::Concat{0}, sizes);
  n.give(n.add(op::Reduce{.kind = ReduceKind::prod}, {shape}));
}

void import_constant_of_shape(OnnxNode& n) {
  op::Fill fill{.sizes = n.numbers(0)};
  if (const auto tensor = n.tensor("value")) {
    const Numbers value =
        read_numbers({tensor->info.dtype, tensor->info.shape}, {tensor->owner, tensor->bytes});
    if (value.data.size() != 1) n.refuse("needs one number to fill with");
    fill.value = value.data.front();
    fill.dtype = tensor->info.dtype;
  }
  n.give(n.add(fill, {}));
}

// start, start + delta, ... before limit.
void import_range(OnnxNode& n) {
  double number[3];
  for (size_t i = 0; i < 3; ++i) {
    if (n.known(i).data.size() != 1) n.refuse("needs three numbers");
    number[i] = n.known(i).data.front();
    if (!std::isfinite(number[i]) || std::abs(number[i]) > kMaxAxis)
      n.unsupported("counts beyond what an axis can have");
  }
  const auto [start, limit, delta] = number;
  const DType dtype = n.type(n.in(0)).dtype;
  if (delta == 0) n.refuse("counts in steps of 0");
  if (delta == 1 && std::floor(start) == start)
    return n.give(n.add(
        op::Arange{static_cast<int64_t>(start), static_cast<int64_t>(std::ceil(limit)), dtype},
        {}));
  const double count = std::max(0.0, std::ceil((limit - start) / delta));
  const ValueId places = n.add(op::Arange{0, whole_number(count), dtype}, {});
  const ValueId scaled = n.add(op::Binary{BinaryKind::multiply}, {places, n.scalar(delta, dtype)});
  n.give(n.add(op::Binary{}, {scaled, n.scalar(start, dtype)}));
}

// A branch whose condition only shapes and constants determine.
void import_if(OnnxNode& n) {
  const pb::GraphProto* yes = n.graph("then_branch");
  const pb::GraphProto* no = n.graph("else_branch");
  if (yes == nullptr || no == nullptr) n.refuse("lacks a branch");
  if (n.nesting() > 16) n.unsupported("is nested too deeply");
  const pb::GraphProto& chosen = n.one_number(0) != 0 ? *yes : *no;
  n.import().import_nodes(chosen, n.nesting() + 1);
  if (static_cast<size_t>(chosen.output_size()) != n.outputs())
    n.refuse("has a branch with another number of outputs");
  for (int i = 0; i < chosen.output_size(); ++i) {
    const ValueId id = n.import().find(chosen.output(i).name());
    if (id == kNoValue) n.refuse("has a branch whose output nothing writes");
    n.give(id, static_cast<size_t>(i));
  }
}

}  // namespace

void add_shape_operators(OnnxOperators& table) {
  table["Identity"] = import_identity;
  table["Dropout"] = import_dropout;
  table["Constant"] = import_constant;
  table["Shape"] = import_shape;
  table["Size"] = import_size;
  table["ConstantOfShape"] = import_constant_of_shape;
  table["Range"] = import_range;
  table["If"] = import_if;
}

}  // namespace residua
