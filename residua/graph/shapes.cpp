// infer: what all operators have in common; the rules of each are in shapes_*.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "residua/core/error.h"
#include "residua/graph/shape_rules.h"

namespace residua {

namespace {

void refuse_setting(std::string_view operation, const Field& field, const std::string& received) {
  throw Error(ErrorKind::shape, {.where = fmt::format("{}.{}", operation, field.name),
                                 .rule = "has a value it cannot take",
                                 .expected = field.type_text(),
                                 .received = received});
}

// Structs are filled in without a parser, so that the ranges of their settings are checked here.
void check_settings(std::string_view operation, const Fields& fields) {
  for (const Field& field : fields.list()) {
    const auto check = [&](double number) {
      if (std::isnan(number) || !field.range.contains(number))
        refuse_setting(operation, field, fmt::format("{}", number));
    };
    if (const auto* number = std::get_if<int64_t*>(&field.target)) {
      check(static_cast<double>(**number));
    } else if (const auto* real = std::get_if<double*>(&field.target)) {
      check(**real);
    } else if (const auto* list = std::get_if<std::vector<int64_t>*>(&field.target)) {
      for (const int64_t n : **list) check(static_cast<double>(n));
    } else if (const auto* choice = std::get_if<Field::EnumRef>(&field.target)) {
      if (choice->get() < 0 || choice->get() >= static_cast<int>(choice->names.size()))
        refuse_setting(operation, field, fmt::format("{}", choice->get()));
    } else if (const auto* group = std::get_if<std::shared_ptr<Fields>>(&field.target)) {
      check_settings(operation, **group);
    }
  }
}

void check_type(std::string_view operation, std::string_view what, const TensorType& type) {
  const std::string where = fmt::format("{}: {}", operation, what);
  checked_bytes(type.shape, type.dtype, where);
  for (const int64_t size : type.shape)
    if (size > kMaxAxis)
      throw Error(ErrorKind::limit, {.where = where,
                                     .rule = "has an axis that is too long",
                                     .expected = fmt::format("at most {}", kMaxAxis),
                                     .received = to_string(type.shape)});
  if (type.dtype == DType::c64 || type.dtype == DType::c128)
    throw Error(ErrorKind::unsupported,
                {.where = where, .rule = "is complex, and graphs have real numbers only"});
}

}  // namespace

void Operands::count(size_t least, size_t most) const {
  if (size() >= least && size() <= most) return;
  refuse("has another number of inputs than it takes",
         least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most),
         fmt::format("{}", size()));
}

const TensorType* Operands::find(size_t i) const {
  return i < inputs_.size() && inputs_[i] ? &*inputs_[i] : nullptr;
}

const TensorType& Operands::at(size_t i, std::string_view what) const {
  if (const TensorType* type = find(i)) return *type;
  refuse(fmt::format("lacks its input {} ({})", i, what));
}

const TensorType& Operands::floating(size_t i, std::string_view what) const {
  const TensorType& type = at(i, what);
  if (!is_floating(type.dtype))
    refuse(fmt::format("{} must be of a floating type", what), {},
           std::string(to_string(type.dtype)));
  return type;
}

void Operands::parameter(size_t i, std::string_view what, DType dtype, const Shape& shape) const {
  const TensorType* type = find(i);
  if (type == nullptr) return;
  if (type->dtype != dtype && type->dtype != DType::f32)
    refuse(fmt::format("{} must have the element type of x, or F32", what),
           std::string(to_string(dtype)), std::string(to_string(type->dtype)));
  if (type->shape != shape)
    refuse(fmt::format("{} has another shape", what), to_string(shape), to_string(type->shape));
}

void Operands::refuse(std::string rule, std::string expected, std::string received) const {
  throw Error(ErrorKind::shape, {.where = std::string(name_),
                                 .rule = std::move(rule),
                                 .expected = std::move(expected),
                                 .received = std::move(received)});
}

int64_t axis_of(const Operands& in, int64_t axis, const Shape& shape) {
  const auto rank = static_cast<int64_t>(shape.size());
  if (axis < -rank || axis >= rank)
    in.refuse("names an axis that x does not have", fmt::format("{} to {}", -rank, rank - 1),
              fmt::format("{}", axis));
  return axis < 0 ? axis + rank : axis;
}

std::optional<Shape> broadcast(const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape result = longer;
  for (size_t i = 0; i < shorter.size(); ++i) {
    int64_t& size = result[result.size() - 1 - i];
    const int64_t other = shorter[shorter.size() - 1 - i];
    if (size != other && size != 1 && other != 1) return std::nullopt;
    if (size == 1) size = other;
  }
  return result;
}

Shape broadcast(const Operands& in, const Shape& a, const Shape& b) {
  if (auto result = broadcast(a, b)) return *std::move(result);
  in.refuse("shapes do not broadcast: from the last axis on, sizes must be equal or 1", {},
            to_string(a) + " and " + to_string(b));
}

int64_t spatial_axes(const Operands& in, const Shape& x) {
  if (x.size() < 3 || x.size() > 5)
    in.refuse("x must have batch, channels and one to three spatial axes", {}, to_string(x));
  return static_cast<int64_t>(x.size()) - 2;
}

void one_for_each(const Operands& in, std::string_view what, size_t numbers, size_t axes) {
  if (numbers != axes)
    in.refuse(fmt::format("{} has another number of numbers than the spatial axes ask for", what),
              fmt::format("{}", axes), fmt::format("{}", numbers));
}

int64_t window_places(const Operands& in, int64_t size, int64_t kernel, int64_t stride,
                      int64_t before, int64_t after, int64_t dilation, bool ceil) {
  const int64_t reach = dilation * (kernel - 1) + 1, room = size + before + after - reach;
  if (kernel < 1 || room < 0)
    in.refuse("the window is larger than the padded axis",
              fmt::format("at most {}", size + before + after), fmt::format("{}", reach));
  int64_t places = room / stride + 1;
  if (ceil && room % stride != 0 && places * stride < size + before) ++places;
  return places;
}

std::vector<TensorType> infer(const Operation& operation,
                              std::span<const std::optional<TensorType>> inputs) {
  const std::string_view name = name_of(operation);
  Operation copy = operation;  // `describe` points into what it may change
  check_settings(name, describe(copy));
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i]) check_type(name, fmt::format("input {}", i), *inputs[i]);
  const Operands operands(name, inputs);
  Types types = std::visit([&](const auto& o) { return shape_rule(o, operands); }, operation);
  for (const TensorType& type : types) check_type(name, "output", type);
  return types;
}

}  // namespace residua
