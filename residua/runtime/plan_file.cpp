#include "residua/runtime/plan_file.h"

#include <fmt/format.h>

#include <set>

#include "residua/core/error.h"
#include "residua/graph/graph_file.h"
#include "residua/graph/passes/passes.h"
#include "residua/io/safetensors.h"
#include "residua/runtime/convert.h"
#include "residua/runtime/weight_store.h"

namespace residua {

namespace {

constexpr int kMaxPlanDepth = 4;

// Where the file gives a path or a number of processors it would reach beyond itself.
constexpr std::array kUsersOptions{"threads", "cache"};

template <class Op>
bool reads_weight(const Node& node, ValueId value) {
  return std::holds_alternative<Op>(node.operation) && node.inputs.size() > 1 &&
         node.inputs[1] == value && node.inputs[0] != value;
}

bool is_weight_of(const Node& node, ValueId value) {
  if (!reads_weight<op::Conv>(node, value) && !reads_weight<op::ConvTranspose>(node, value) &&
      !reads_weight<op::Linear>(node, value))
    return false;
  return std::count(node.inputs.begin(), node.inputs.end(), value) == 1;
}

// Constants of f32 that nothing reads but products, as their weights.
std::set<ValueId> product_weights(const Graph& graph) {
  std::set<ValueId> weights, others(graph.outputs.begin(), graph.outputs.end());
  for (const Node& node : graph.nodes)
    for (const ValueId v : node.inputs)
      if (v != kNoValue && graph.value(v).constant && graph.value(v).type.dtype == DType::f32)
        (is_weight_of(node, v) ? weights : others).insert(v);
  for (const ValueId v : others) weights.erase(v);
  return weights;
}

ConstantData in_bf16(const Value& value) {
  const int64_t bytes = checked_bytes(value.type.shape, DType::bf16, value.name);
  const auto memory = aligned_bytes(bytes);
  convert({.dtype = DType::f32, .shape = value.type.shape}, value.constant->bytes.data(),
          {.dtype = DType::bf16, .shape = value.type.shape}, memory.get(), 1);
  return {memory, {memory.get(), static_cast<size_t>(bytes)}};
}

void store_weights_as_bf16(Graph& graph) {
  std::set<std::string> names;
  for (const Value& value : graph.values) names.insert(value.name);
  std::vector<Node> casts;
  std::map<ValueId, ValueId> cast_of;
  for (const ValueId v : product_weights(graph)) {
    std::string name = graph.value(v).name + ".f32";
    while (!names.insert(name).second) name += "_";
    if (name.size() > kMaxNameBytes) continue;
    graph.value(v).constant = in_bf16(graph.value(v));
    graph.value(v).type.dtype = DType::bf16;
    const auto to = static_cast<ValueId>(graph.values.size());
    graph.values.push_back({name, {DType::f32, graph.shape(v)}});
    casts.push_back({.operation = op::Cast{DType::f32}, .inputs = {v}, .outputs = {to}});
    cast_of[v] = to;
  }
  for (Node& node : graph.nodes)
    for (ValueId& v : node.inputs)
      if (const auto at = cast_of.find(v); at != cast_of.end()) v = at->second;
  graph.nodes.insert(graph.nodes.begin(), casts.begin(), casts.end());
}

Json plan_to_json(const PlanInfo& info) {
  Json options = options_to_json(info.options);
  for (const char* name : kUsersOptions) options.erase(name);
  Json json{{"version", kPlanVersion}, {"options", std::move(options)}};
  if (info.images) json["images"] = options_to_json(*info.images);
  if (!info.labels.empty()) json["labels"] = info.labels;
  if (!info.model.empty()) json["model"] = info.model;
  if (!info.weights.empty()) json["weights"] = info.weights;
  return json;
}

[[noreturn]] void bad_plan(std::string where, std::string rule, std::string expected = {},
                           std::string received = {}) {
  throw Error(ErrorKind::corrupt_file, {.where = std::move(where),
                                        .rule = std::move(rule),
                                        .expected = std::move(expected),
                                        .received = std::move(received)});
}

void check_version(const Json& json) {
  if (!json.is_object()) bad_plan("plan", "must be an object");
  if (!json.contains("version")) bad_plan("plan", "lacks 'version'");
  const Json& version = json["version"];
  if (!version.is_number_integer()) bad_plan("version", "must be an integer");
  if (version == kPlanVersion) return;
  throw Error(ErrorKind::unsupported,
              {.where = "version",
               .rule = "the plan has another version of the form than this library reads",
               .expected = std::to_string(kPlanVersion),
               .received = version.dump(),
               .hint = "compile it again from its model or ONNX file"});
}

std::string text_member(const Json& value, const char* name) {
  if (!value.is_string()) bad_plan(name, "must be text");
  return value.get<std::string>();
}

PlanInfo plan_from_json(const Json& json, const Graph& graph) {
  check_version(json);
  PlanInfo info;
  for (const auto& [key, value] : json.items()) {
    if (key == "version") continue;
    if (key == "options") {
      if (value.is_object())
        for (const char* name : kUsersOptions)
          if (value.contains(name)) bad_plan("options", fmt::format("must not say '{}'", name));
      assign(info.options, value, "options");
    } else if (key == "images") {
      assign(info.images.emplace(), value, "images");
    } else if (key == "labels") {
      if (!value.is_array()) bad_plan("labels", "must be a list");
      for (const Json& label : value) info.labels.push_back(text_member(label, "labels"));
    } else if (key == "model") {
      info.model = text_member(value, "model");
    } else if (key == "weights") {
      info.weights = text_member(value, "weights");
    } else {
      bad_plan("plan", "has a member of an unknown name", {}, key);
    }
  }
  if (info.images) check_preprocessing(*info.images);
  if (info.images && !takes_images(graph, *info.images))
    bad_plan("images", "do not fit the graph's input");
  return info;
}

}  // namespace

void write_plan(const std::string& path, Graph graph, const PlanInfo& info) {
  if (info.images) {
    check_preprocessing(*info.images);
    if (!takes_images(graph, *info.images))
      throw Error(
          ErrorKind::invalid_argument,
          {.where = path, .rule = "the preparation of images does not fit the graph's input"});
  }
  optimise(graph);
  if (info.options.dtype == PlanDType::bf16) store_weights_as_bf16(graph);
  std::string text;
  try {
    text = plan_to_json(info).dump();
  } catch (const Json::type_error&) {
    throw Error(ErrorKind::invalid_argument,
                {.where = path, .rule = "labels and names must be valid UTF-8"});
  }
  if (text.size() > kMaxGraphText)
    throw Error(ErrorKind::limit, {.where = path,
                                   .rule = "the plan's labels are too long",
                                   .expected = fmt::format("at most {} bytes", kMaxGraphText),
                                   .received = std::to_string(text.size())});
  write_graph(path, graph, {{std::string(kPlanEntry), std::move(text)}});
}

bool is_plan(const TensorFile& file) { return file.metadata().contains(std::string(kPlanEntry)); }

PlanFile plan_of_file(const TensorFile& file) {
  const std::string& path = file.path();
  const auto entry = file.metadata().find(std::string(kPlanEntry));
  if (entry == file.metadata().end())
    bad_plan(path, "is no plan", fmt::format("metadata '{}'", kPlanEntry));
  if (entry->second.size() > kMaxGraphText)
    throw Error(ErrorKind::limit, {.where = path,
                                   .rule = "the plan's text is too long",
                                   .expected = fmt::format("at most {} bytes", kMaxGraphText),
                                   .received = std::to_string(entry->second.size())});
  try {
    const Json json = parse_json(entry->second, path, kMaxPlanDepth);
    check_version(json);  // first, as another version may have another graph
    PlanFile plan{graph_of_file(file), {}};
    plan.info = plan_from_json(json, plan.graph);
    return plan;
  } catch (const Error& error) {
    rethrow_of_file(error, path);
  }
}

PlanFile parse_plan(OwnedBytes bytes, const std::string& path) {
  return plan_of_file(*parse_safetensors(std::move(bytes), path));
}

PlanFile read_plan(const std::string& path) { return plan_of_file(*open_safetensors(path)); }

}  // namespace residua
