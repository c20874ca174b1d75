// The forms of an options description that people read or write: TOML, key=value, help, Markdown.

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "residua/core/error.h"
#include "residua/core/options.h"

namespace residua {

namespace {

Json from_toml_node(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table: {
      // toml++ sorts keys by name; the order in which they were written stands in their positions.
      std::vector<std::pair<const toml::key*, const toml::node*>> entries;
      for (const auto& [key, value] : *node.as_table()) entries.emplace_back(&key, &value);
      const auto position = [](const auto& entry) {
        const toml::source_position& begin = entry.first->source().begin;
        return std::pair(begin.line, begin.column);
      };
      std::stable_sort(entries.begin(), entries.end(),
                       [&](const auto& a, const auto& b) { return position(a) < position(b); });
      Json object = Json::object();
      for (const auto& [key, value] : entries)
        object[std::string(key->str())] = from_toml_node(*value);
      return object;
    }
    case toml::node_type::array: {
      Json array = Json::array();
      for (const auto& value : *node.as_array()) array.push_back(from_toml_node(value));
      return array;
    }
    case toml::node_type::string: return node.as_string()->get();
    case toml::node_type::integer: return node.as_integer()->get();
    case toml::node_type::floating_point: return node.as_floating_point()->get();
    case toml::node_type::boolean: return node.as_boolean()->get();
    default: break;
  }
  std::ostringstream text;  // dates and times stay text
  text << toml::node_view<const toml::node>(node);
  return text.str();
}

toml::table to_toml_table(const Json& object);

toml::array to_toml_array(const Json& list) {
  toml::array array;
  for (const Json& value : list) {
    if (value.is_object())
      array.push_back(to_toml_table(value));
    else if (value.is_array())
      array.push_back(to_toml_array(value));
    else if (value.is_boolean())
      array.push_back(value.get<bool>());
    else if (value.is_number_integer())
      array.push_back(value.get<int64_t>());
    else if (value.is_number())
      array.push_back(value.get<double>());
    else if (value.is_string())
      array.push_back(value.get<std::string>());
  }
  return array;
}

toml::table to_toml_table(const Json& object) {
  toml::table table;
  for (const auto& [key, value] : object.items()) {
    if (value.is_object())
      table.insert(key, to_toml_table(value));
    else if (value.is_array())
      table.insert(key, to_toml_array(value));
    else if (value.is_boolean())
      table.insert(key, value.get<bool>());
    else if (value.is_number_integer())
      table.insert(key, value.get<int64_t>());
    else if (value.is_number())
      table.insert(key, value.get<double>());
    else if (value.is_string())
      table.insert(key, value.get<std::string>());
  }
  return table;
}

Json parse_value(std::string_view text) {
  try {
    const toml::table table = toml::parse(fmt::format("v = {}", text));
    if (table.size() == 1) return from_toml_node(*table.get("v"));
  } catch (const toml::parse_error&) {
  }
  return std::string(text);
}

std::string default_text(const Field& field) {
  const Json value = to_json(field);
  if (value == "") return "empty";
  return value.is_string() ? value.get<std::string>() : json_text(value);
}

template <class Visit>
void walk(const Fields& fields, std::string_view prefix, const Visit& visit) {
  for (const Field& field : fields.list()) {
    const std::string path = prefix.empty() ? field.name : fmt::format("{}.{}", prefix, field.name);
    if (const auto* group = std::get_if<std::shared_ptr<Fields>>(&field.target))
      walk(**group, path, visit);
    else
      visit(path, field);
  }
}

}  // namespace

Json parse_toml(std::string_view text, std::string_view where) {
  try {
    return from_toml_node(toml::parse(text));
  } catch (const toml::parse_error& e) {
    throw Error(
        ErrorKind::invalid_argument,
        {.where = fmt::format("{}:{}:{}", where, e.source().begin.line, e.source().begin.column),
         .rule = fmt::format("is not valid TOML: {}", e.description())});
  }
}

Json read_toml(const std::string& path) {
  if (std::filesystem::is_directory(path)) throw_io_error(path, "read the file", EISDIR);
  std::ifstream file(path, std::ios::binary);
  if (!file) throw_io_error(path, "read the file", errno);
  std::ostringstream text;
  text << file.rdbuf();
  return parse_toml(text.str(), path);
}

std::string to_toml(const Json& values) {
  std::ostringstream text;
  text << to_toml_table(values) << '\n';
  return text.str();
}

void merge_key_value(Json& values, std::string_view key_value) {
  const size_t equals = key_value.find('=');
  if (equals == 0 || equals == std::string_view::npos)
    throw Error(ErrorKind::invalid_argument, {.where = std::string(key_value),
                                              .rule = "is not an override",
                                              .expected = "key=value, for example optim.lr=0.1"});
  Json value = parse_value(key_value.substr(equals + 1));
  std::string_view key = key_value.substr(0, equals);
  Json nested;
  Json* at = &nested;
  while (true) {
    const size_t dot = key.find('.');
    at = &(*at)[std::string(key.substr(0, dot))];
    if (dot == std::string_view::npos) break;
    key.remove_prefix(dot + 1);
  }
  *at = std::move(value);
  merge(values, nested);
}

void merge(Json& values, const Json& over) {
  if (!values.is_object()) values = Json::object();
  for (const auto& [key, value] : over.items()) {
    Json& old = values[key];
    // A string names a component: options that have no name yet become its own, those of the same
    // name stay.
    if (value.is_string() && old.is_object() && (!old.contains("name") || old["name"] == value)) {
      old["name"] = value;
      continue;
    }
    if (value.is_object() && old.is_string()) old = Json{{"name", old}};
    const bool other_component = value.is_object() && old.is_object() && value.contains("name") &&
                                 old.contains("name") && value["name"] != old["name"];
    if (value.is_object() && old.is_object() && !other_component)
      merge(old, value);
    else
      old = value;
  }
}

std::string help_text(const Fields& fields, std::string_view prefix) {
  std::string text;
  walk(fields, prefix, [&](const std::string& path, const Field& field) {
    constexpr size_t kColumn = 28;  // a longer name has a line of its own
    const std::string name =
        path.size() > kColumn ? path + "\n  " + std::string(kColumn, ' ') : path;
    text += fmt::format("  {:<{}} {} ({}; default {})\n", name, kColumn, field.help,
                        field.type_text(), default_text(field));
  });
  return text;
}

std::string markdown_table(const Fields& fields, std::string_view prefix) {
  std::string text = "| option | default | values | meaning |\n| --- | --- | --- | --- |\n";
  walk(fields, prefix, [&](const std::string& path, const Field& field) {
    text += fmt::format("| `{}` | `{}` | {} | {} |\n", path, default_text(field), field.type_text(),
                        field.help);
  });
  return text;
}

std::vector<std::string> dotted_keys(const Fields& fields, std::string_view prefix) {
  std::vector<std::string> keys;
  walk(fields, prefix, [&](const std::string& path, const Field&) { keys.push_back(path); });
  return keys;
}

}  // namespace residua
