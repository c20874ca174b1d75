#include "residua/graph/graph_file.h"

#include <fmt/format.h>

#include <unordered_set>

#include "residua/core/error.h"
#include "residua/graph/graph_json.h"
#include "residua/io/safetensors.h"

namespace residua {

namespace {

void attach_constants(Graph& graph, const TensorFile& file, const std::vector<ValueId>& constants) {
  std::unordered_set<std::string_view> used;
  for (const ValueId id : constants) {
    Value& value = graph.value(id);
    const auto refuse = [&](std::string rule, std::string expected, std::string received) {
      throw Error(ErrorKind::corrupt_file, {.where = fmt::format("constant '{}'", value.name),
                                            .rule = std::move(rule),
                                            .expected = std::move(expected),
                                            .received = std::move(received)});
    };
    if (!file.contains(value.name)) refuse("has no tensor in the file", {}, {});
    const TensorInfo& info = file.info(value.name);
    if (info.dtype != value.type.dtype || info.shape != value.type.shape)
      refuse("has a tensor of another type",
             fmt::format("{} {}", to_string(value.type.dtype), to_string(value.type.shape)),
             fmt::format("{} {}", to_string(info.dtype), to_string(info.shape)));
    TensorData data = file.read(value.name);
    value.constant = ConstantData{std::move(data.owner), data.bytes};
    used.insert(value.name);
  }
  for (const TensorInfo& info : file.tensors())
    if (!used.contains(info.name))
      throw Error(ErrorKind::corrupt_file, {.where = fmt::format("tensor '{}'", info.name),
                                            .rule = "is the constant of no value"});
}

}  // namespace

void rethrow_of_file(const Error& error, const std::string& path) {
  const ErrorKind kind = error.kind() == ErrorKind::limit || error.kind() == ErrorKind::unsupported
                             ? error.kind()
                             : ErrorKind::corrupt_file;
  ErrorText text = error.text();
  if (!text.where.starts_with(path)) text.where = fmt::format("{}: {}", path, text.where);
  throw Error(kind, text);
}

void write_graph(const std::string& path, const Graph& graph,
                 std::map<std::string, std::string> entries) {
  verify(graph);
  std::string text;
  try {
    text = graph_to_json(graph).dump();
  } catch (const Json::type_error&) {
    throw Error(ErrorKind::invalid_argument,
                {.where = path, .rule = "names and metadata must be valid UTF-8"});
  }
  if (text.size() > kMaxGraphText)
    throw Error(ErrorKind::limit, {.where = path,
                                   .rule = "the graph is too long",
                                   .expected = fmt::format("at most {} bytes", kMaxGraphText),
                                   .received = fmt::format("{}", text.size())});
  std::vector<TensorView> tensors;
  for (const Value& value : graph.values)
    if (value.constant)
      tensors.push_back({value.name, value.type.dtype, value.type.shape, value.constant->bytes});
  entries[std::string(kGraphEntry)] = std::move(text);
  write_safetensors(path, tensors, entries);
}

Graph graph_of_file(const TensorFile& file) {
  const std::string& path = file.path();
  const auto entry = file.metadata().find(std::string(kGraphEntry));
  if (entry == file.metadata().end())
    throw Error(ErrorKind::corrupt_file, {.where = path,
                                          .rule = "holds tensors but no graph",
                                          .expected = fmt::format("metadata '{}'", kGraphEntry)});
  if (entry->second.size() > kMaxGraphText)
    throw Error(ErrorKind::limit, {.where = path,
                                   .rule = "the graph is too long",
                                   .expected = fmt::format("at most {} bytes", kMaxGraphText),
                                   .received = fmt::format("{}", entry->second.size())});
  try {
    GraphJson parsed = graph_from_json(parse_json(entry->second, path, kMaxGraphDepth));
    attach_constants(parsed.graph, file, parsed.constants);
    verify(parsed.graph);
    return std::move(parsed.graph);
  } catch (const Error& error) {
    rethrow_of_file(error, path);
  }
}

Graph parse_graph(OwnedBytes bytes, const std::string& path) {
  return graph_of_file(*parse_safetensors(std::move(bytes), path));
}

Graph read_graph(const std::string& path) { return parse_graph(map_file(path), path); }

}  // namespace residua
