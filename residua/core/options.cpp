#include "residua/core/options.h"

#include <fmt/format.h>

#include <cmath>

#include "residua/core/error.h"

namespace residua {

namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

std::string join_path(std::string_view where, std::string_view name) {
  return where.empty() ? std::string(name) : fmt::format("{}.{}", where, name);
}

std::string join(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

[[noreturn]] void reject(const Field& field, const std::string& where, const Json& value) {
  throw Error(ErrorKind::invalid_argument, {.where = where,
                                            .rule = "has a value it cannot take",
                                            .expected = field.type_text(),
                                            .received = json_text(value)});
}

int64_t integer_value(const Field& field, const Json& value, const std::string& where) {
  const bool whole =
      value.is_number_integer() ||
      (value.is_number_float() && std::floor(value.get<double>()) == value.get<double>() &&
       std::abs(value.get<double>()) < 9e15);
  const bool too_large = value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX;
  if (!whole || too_large || !field.range.contains(value.get<double>()))
    reject(field, where, value);
  return value.is_number_float() ? static_cast<int64_t>(value.get<double>()) : value.get<int64_t>();
}

// JSON has no infinite numbers, so there they are words.
Json infinity_to_word(double value) {
  return std::isinf(value) ? Json(value > 0 ? "inf" : "-inf") : Json(value);
}

double number_value(const Field& field, const Json& written, const std::string& where) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const Json value = written == "inf"    ? Json(kInfinity)
                     : written == "-inf" ? Json(-kInfinity)
                                         : written;
  if (!value.is_number() || std::isnan(value.get<double>()) ||
      !field.range.contains(value.get<double>()))
    reject(field, where, written);
  return value.get<double>();
}

std::string string_value(const Field& field, const Json& value, const std::string& where) {
  // A bare word such as `name=18` or `name=inf` parses as a number.
  if (value.is_number_float() && !std::isfinite(value.get<double>()))
    return fmt::format("{}", value.get<double>());
  if (value.is_number() || value.is_boolean()) return value.dump();
  if (!value.is_string()) reject(field, where, value);
  return value.get<std::string>();
}

template <class T, class Read>
std::vector<T> list_value(const Field& field, const Json& value, const std::string& where,
                          Read read) {
  std::vector<T> result;
  if (!value.is_array()) {
    result.push_back(read(field, value, where));
    return result;
  }
  for (size_t i = 0; i < value.size(); ++i)
    result.push_back(read(field, value[i], fmt::format("{}[{}]", where, i)));
  return result;
}

Component component_value(const Field& field, const Json& value, const std::string& where) {
  if (!value.is_object()) return Component(string_value(field, value, where));
  Json options = value;
  std::string name;
  if (options.contains("name")) {
    name = string_value(field, options["name"], join_path(where, "name"));
    options.erase("name");
  }
  return options.empty() ? Component(name) : Component(name, std::move(options));
}

void assign_field(const Field& field, const Json& value, const std::string& where) {
  std::visit(Overloaded{
                 [&](bool* p) {
                   if (!value.is_boolean()) reject(field, where, value);
                   *p = value.get<bool>();
                 },
                 [&](int64_t* p) { *p = integer_value(field, value, where); },
                 [&](double* p) { *p = number_value(field, value, where); },
                 [&](std::string* p) { *p = string_value(field, value, where); },
                 [&](std::vector<int64_t>* p) {
                   *p = list_value<int64_t>(field, value, where, integer_value);
                 },
                 [&](std::vector<double>* p) {
                   *p = list_value<double>(field, value, where, number_value);
                 },
                 [&](std::vector<std::string>* p) {
                   *p = list_value<std::string>(field, value, where, string_value);
                 },
                 [&](std::optional<int64_t>* p) {
                   *p = value.is_null() || value == "none"
                            ? std::nullopt
                            : std::optional(integer_value(field, value, where));
                 },
                 [&](std::optional<double>* p) {
                   *p = value.is_null() || value == "none"
                            ? std::nullopt
                            : std::optional(number_value(field, value, where));
                 },
                 [&](Component* p) {
                   Component given = component_value(field, value, where);
                   if (given.name.empty()) {  // `model.width=2` alone changes the default component
                     given.name = p->name;
                     Json options = p->options_or_empty();
                     merge(options, given.options_or_empty());
                     given.options = std::make_shared<Json>(std::move(options));
                   }
                   *p = std::move(given);
                 },
                 [&](const Field::EnumRef& e) {
                   const std::string name = string_value(field, value, where);
                   const auto found = std::find(e.names.begin(), e.names.end(), name);
                   if (found == e.names.end())
                     throw Error(ErrorKind::invalid_argument,
                                 {.where = where,
                                  .rule = "has a value it cannot take",
                                  .expected = field.type_text(),
                                  .received = name,
                                  .hint = nearest_names_hint(name, e.names)});
                   e.set(static_cast<int>(found - e.names.begin()));
                 },
                 [&](const std::shared_ptr<Fields>& group) { assign(*group, value, where); },
             },
             field.target);
}

}  // namespace

bool Range::contains(double value) const {
  return (open_min ? value > min : value >= min) && (open_max ? value < max : value <= max);
}

std::string Range::text() const {
  const bool low = std::isfinite(min), high = std::isfinite(max);
  if (low && high)
    return fmt::format("in {}{}, {}{}", open_min ? "(" : "[", min, max, open_max ? ")" : "]");
  if (low) return fmt::format("{} {}", open_min ? ">" : ">=", min);
  if (high) return fmt::format("{} {}", open_max ? "<" : "<=", max);
  return {};
}

Component::Component(std::string name_, Json options_)
    : name(std::move(name_)), options(std::make_shared<Json>(std::move(options_))) {}

Json Component::options_or_empty() const { return options ? *options : Json::object(); }

std::string Field::type_text() const {
  const auto bounded = [this](std::string type) {
    const std::string bounds = range.text();
    return bounds.empty() ? type : type + " " + bounds;
  };
  return std::visit(
      Overloaded{
          [&](bool*) -> std::string { return "true or false"; },
          [&](int64_t*) { return bounded("integer"); },
          [&](double*) { return bounded("number"); },
          [&](std::string*) -> std::string { return "text"; },
          [&](std::vector<int64_t>*) { return bounded("list of integers"); },
          [&](std::vector<double>*) { return bounded("list of numbers"); },
          [&](std::vector<std::string>*) -> std::string { return "list of texts"; },
          [&](std::optional<int64_t>*) { return bounded("none or integer"); },
          [&](std::optional<double>*) { return bounded("none or number"); },
          [&](Component*) -> std::string { return "name or {name = ..., option = ...}"; },
          [&](const EnumRef& e) { return "one of " + join(e.names); },
          [&](const std::shared_ptr<Fields>&) -> std::string { return "table of options"; },
      },
      target);
}

void assign(const Fields& fields, const Json& values, std::string_view where) {
  if (!values.is_object())
    throw Error(ErrorKind::invalid_argument, {.where = std::string(where),
                                              .rule = "must be a table of options",
                                              .received = json_text(values)});
  for (const auto& [key, value] : values.items()) {
    const auto& list = fields.list();
    // clang 14 cannot capture a structured binding by reference.
    const auto found = std::find_if(list.begin(), list.end(),
                                    [&key = key](const Field& f) { return f.name == key; });
    if (found == list.end()) {
      std::vector<std::string> names;
      for (const Field& f : list) names.push_back(f.name);
      std::string hint = nearest_names_hint(key, names);
      if (hint.empty())
        hint = names.empty() ? "it takes no options" : "the keys are " + join(names);
      throw Error(ErrorKind::invalid_argument,
                  {.where = join_path(where, key), .rule = "is not an option", .hint = hint});
    }
    assign_field(*found, value, join_path(where, key));
  }
}

Json to_json(const Fields& fields) {
  Json result = Json::object();
  for (const Field& field : fields.list()) result[field.name] = to_json(field);
  return result;
}

Json to_json(const Field& field) {
  return std::visit(
      Overloaded{
          [](const Field::EnumRef& e) -> Json { return e.names.at(e.get()); },
          [](const std::shared_ptr<Fields>& group) -> Json { return to_json(*group); },
          [](Component* c) -> Json {
            if (!c->options || c->options->empty()) return c->name;
            Json object{{"name", c->name}};
            object.update(*c->options);
            return object;
          },
          [](std::optional<int64_t>* p) -> Json { return *p ? Json(**p) : Json("none"); },
          [](std::optional<double>* p) -> Json {
            return *p ? infinity_to_word(**p) : Json("none");
          },
          [](double* p) -> Json { return infinity_to_word(*p); },
          [](std::vector<double>* p) -> Json {
            Json list = Json::array();
            for (const double value : *p) list.push_back(infinity_to_word(value));
            return list;
          },
          [](auto* p) -> Json { return *p; },
      },
      field.target);
}

}  // namespace residua
