// Graph files: what is written is read again, and broken files are refused with a reason.
#include "residua/graph/graph_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "residua/core/error.h"
#include "residua/core/random.h"
#include "residua/graph/interpreter.h"
#include "residua/io/safetensors.h"

namespace residua {
namespace {

std::string temporary(const std::string& name) {
  return (std::filesystem::path(testing::TempDir()) / ("residua_graph_" + name)).string();
}

// With symbols, rules, an activation, an infinite setting, several outputs and types.
Graph example_graph() {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {2, 3, 4}, {{"batch"}});
  const ValueId w =
      b.constant("w", {4, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
  const op::Linear linear{
      .activation = {UnaryKind::clamp, 0, std::numeric_limits<double>::infinity()}};
  const ValueId y = b.add(linear, {x, w}, "block.linear");
  const ValueId flat = b.add(op::Reshape{.sizes = {2, -1}}, {y});
  b.graph().nodes.back().rules.push_back({"sizes", 0, {"batch"}});
  const auto top = b.add_all(op::TopK{.k = 2}, {flat});
  b.output("values", top[0]);
  b.output("places", top[1]);
  b.graph().symbols["batch"].max = 16;
  b.graph().metadata["mean"] = "0.5";
  return b.finish();
}

TEST(GraphFile, KeepsEverything) {
  const Graph graph = example_graph();
  const std::string path = temporary("round.safetensors");
  write_graph(path, graph);
  const Graph again = read_graph(path);
  EXPECT_EQ(graph_to_json(again), graph_to_json(graph));
  EXPECT_EQ(to_text(again), to_text(graph));
  const std::vector<Numbers> input{{{DType::f32, {2, 3, 4}}, std::vector<double>(24, 0.25)}};
  EXPECT_EQ(interpret(again, input)[0].data, interpret(graph, input)[0].data);
  verify(with_sizes(again, {{"batch", 5}}));
}

TEST(GraphFile, ReadsConstantsInPlace) {
  const std::string path = temporary("place.safetensors");
  write_graph(path, example_graph());
  const OwnedBytes bytes = map_file(path);
  const Graph graph = parse_graph(bytes, path);
  for (const Value& value : graph.values) {
    if (!value.constant) continue;
    EXPECT_GE(value.constant->bytes.data(), bytes.bytes.data());
    EXPECT_LE(value.constant->bytes.data() + value.constant->bytes.size(),
              bytes.bytes.data() + bytes.bytes.size());
  }
}

TEST(GraphFile, WritesOnlyWhatIsSound) {
  Graph graph = example_graph();
  graph.nodes[0].inputs[0] = 77;
  EXPECT_THROW(write_graph(temporary("unsound"), graph), Error);
  graph = example_graph();
  graph.metadata["broken"] = "\xff";
  EXPECT_THROW(write_graph(temporary("unsound"), graph), Error);
}

struct Broken {
  const char* name;
  std::function<void(Json&)> change;
  const char* reason;  // part of the sentence
};

const std::vector<Broken> kBroken{
    {"no version", [](Json& g) { g.erase("version"); }, "lacks 'version'"},
    {"version of tomorrow", [](Json& g) { g["version"] = 2; }, "another version"},
    {"version is text", [](Json& g) { g["version"] = "1"; }, "must be an integer"},
    {"version is a fraction", [](Json& g) { g["version"] = 1.5; }, "must be an integer"},
    {"list for an object", [](Json& g) { g = Json::array(); }, "must be an object"},
    {"no values", [](Json& g) { g.erase("values"); }, "lacks 'values'"},
    {"values are a number", [](Json& g) { g["values"] = 3; }, "must be a list"},
    {"value is a number", [](Json& g) { g["values"][0] = 3; }, "value 0"},
    {"value without name", [](Json& g) { g["values"][0].erase("name"); }, "lacks 'name'"},
    {"two values of one name", [](Json& g) { g["values"][0]["name"] = "values"; },
     "name of two values"},
    {"unknown element type", [](Json& g) { g["values"][0]["dtype"] = "F4"; },
     "unknown element type"},
    {"complex input", [](Json& g) { g["values"][0]["dtype"] = "C64"; }, "complex"},
    {"negative size", [](Json& g) { g["values"][0]["shape"][1] = -3; }, "negative size"},
    {"huge size", [](Json& g) { g["values"][0]["shape"][1] = INT64_MAX; }, "64 bits"},
    {"size above 64 bits", [](Json& g) { g["values"][0]["shape"][1] = UINT64_MAX; },
     "integer of 64 bits"},
    {"long axis", [](Json& g) { g["values"][0]["shape"][1] = int64_t{1} << 40; }, "too long"},
    {"nine axes", [](Json& g) { g["values"][0]["shape"] = {2, 1, 1, 1, 1, 1, 1, 1, 1}; },
     "dimensions"},
    {"shape is text", [](Json& g) { g["values"][0]["shape"] = "[2]"; }, "must be a list"},
    {"constant is a number", [](Json& g) { g["values"][1]["constant"] = 1; }, "true or false"},
    {"constant without tensor", [](Json& g) { g["values"][1]["name"] = "v"; }, "no tensor"},
    {"constant of another shape",
     [](Json& g) {
       g["values"][1]["shape"] = {2, 8};
     },
     "tensor of another type"},
    {"constant of another type", [](Json& g) { g["values"][1]["dtype"] = "I32"; },
     "tensor of another type"},
    {"tensor that nothing names", [](Json& g) { g["values"][1].erase("constant"); },
     "constant of no value"},
    {"input is a constant", [](Json& g) { g["values"][0]["constant"] = true; }, "no tensor"},
    {"unknown operator", [](Json& g) { g["nodes"][0]["operator"] = "lineaar"; },
     "is no operator of a graph"},
    {"operator is null", [](Json& g) { g["nodes"][0]["operator"] = nullptr; }, "must be text"},
    {"node without inputs", [](Json& g) { g["nodes"][0].erase("inputs"); }, "lacks 'inputs'"},
    {"too few inputs", [](Json& g) { g["nodes"][0]["inputs"] = {0}; }, "number of inputs"},
    {"input beyond the values", [](Json& g) { g["nodes"][0]["inputs"][0] = 999; }, "does not have"},
    {"negative input", [](Json& g) { g["nodes"][0]["inputs"][0] = -2; }, "does not have"},
    {"missing input that must be there", [](Json& g) { g["nodes"][0]["inputs"][0] = -1; },
     "lacks its input 0"},
    {"output is missing", [](Json& g) { g["nodes"][0]["outputs"][0] = -1; }, "does not have"},
    {"cycle", [](Json& g) { g["nodes"][0]["inputs"][0] = 3; }, "before it is written"},
    {"reads its own output", [](Json& g) { g["nodes"][0]["inputs"][0] = 2; },
     "before it is written"},
    {"writes an input", [](Json& g) { g["nodes"][0]["outputs"][0] = 0; }, "a second time"},
    {"written twice", [](Json& g) { g["nodes"][1]["outputs"][0] = 2; }, "a second time"},
    {"too few outputs", [](Json& g) { g["nodes"][2]["outputs"] = {4}; }, "number of outputs"},
    {"wrong output type",
     [](Json& g) {
       g["values"][2]["shape"] = {2, 3, 5};
     },
     "type of its output"},
    {"unknown setting", [](Json& g) { g["nodes"][2]["settings"]["kk"] = 1; }, "is not an option"},
    {"setting of another type", [](Json& g) { g["nodes"][2]["settings"]["k"] = "two"; },
     "cannot take"},
    {"setting out of range", [](Json& g) { g["nodes"][2]["settings"]["k"] = 0; }, "cannot take"},
    {"setting too large", [](Json& g) { g["nodes"][2]["settings"]["k"] = INT64_MAX; },
     "cannot take"},
    {"activation is a number", [](Json& g) { g["nodes"][0]["settings"]["activation"] = 3; },
     "must be a table"},
    {"unknown activation",
     [](Json& g) { g["nodes"][0]["settings"]["activation"]["kind"] = "relo"; }, "relu"},
    {"settings are a list", [](Json& g) { g["nodes"][0]["settings"] = Json::array(); },
     "must be an object"},
    {"rule of no setting", [](Json& g) { g["nodes"][1]["rules"][0]["field"] = "size"; },
     "no integer setting"},
    {"rule beyond a list", [](Json& g) { g["nodes"][1]["rules"][0]["index"] = 9; },
     "no integer setting"},
    {"rule of no symbol", [](Json& g) { g["nodes"][1]["rules"][0]["symbol"] = "b"; }, "no symbol"},
    {"rule that overflows", [](Json& g) { g["nodes"][1]["rules"][0]["factor"] = INT64_MAX; },
     "64 bits"},
    {"rule that disagrees", [](Json& g) { g["nodes"][1]["rules"][0]["offset"] = 1; },
     "as its rule says"},
    {"symbol out of range", [](Json& g) { g["symbols"]["batch"]["size"] = 17; }, "range"},
    {"axis of no value", [](Json& g) { g["axes"][0]["value"] = 50; }, "does not have"},
    {"axis beyond the shape", [](Json& g) { g["axes"][0]["axis"] = 3; }, "no such axis"},
    {"no outputs that exist", [](Json& g) { g["outputs"] = {77}; }, "does not have"},
    {"output twice",
     [](Json& g) {
       g["outputs"] = {4, 4};
     },
     "twice"},
    {"input twice",
     [](Json& g) {
       g["inputs"] = {0, 0};
     },
     "a second time"},
    {"no inputs", [](Json& g) { g["inputs"] = Json::array(); }, "is no input"},
    {"unknown member", [](Json& g) { g["extra"] = 1; }, "unknown member 'extra'"},
    {"unknown member of a node", [](Json& g) { g["nodes"][0]["attributes"] = 1; },
     "unknown member"},
    {"metadata is a number", [](Json& g) { g["metadata"]["mean"] = 0.5; }, "must be text"},
};

void write_text(const std::string& path, const std::string& text) {
  const Graph graph = example_graph();
  std::vector<TensorView> tensors;
  for (const Value& value : graph.values)
    if (value.constant)
      tensors.push_back({value.name, value.type.dtype, value.type.shape, value.constant->bytes});
  write_safetensors(path, tensors, {{std::string(kGraphEntry), text}});
}

std::string refusal(const std::string& path) {
  try {
    read_graph(path);
  } catch (const Error& error) {
    const bool foreign = error.kind() == ErrorKind::corrupt_file ||
                         error.kind() == ErrorKind::limit || error.kind() == ErrorKind::unsupported;
    EXPECT_TRUE(foreign) << error.what();
    EXPECT_THAT(error.text().where, testing::StartsWith(path));
    return error.what();
  }
  return "nothing";
}

TEST(GraphFile, RefusesEachBrokenGraph) {
  const std::string path = temporary("broken.safetensors");
  const Json good = graph_to_json(example_graph());
  write_text(path, good.dump());
  EXPECT_EQ(refusal(path), "nothing");
  for (const Broken& broken : kBroken) {
    Json json = good;
    broken.change(json);
    write_text(path, json.dump());
    EXPECT_THAT(refusal(path), testing::HasSubstr(broken.reason)) << broken.name;
  }
}

TEST(GraphFile, RefusesBrokenText) {
  const std::string path = temporary("text.safetensors");
  const auto refused = [&](const std::string& text) {
    write_text(path, text);
    return refusal(path);
  };
  using testing::HasSubstr;
  EXPECT_THAT(refused(""), HasSubstr("not valid JSON"));
  EXPECT_THAT(refused("{\"version\": 1"), HasSubstr("not valid JSON"));
  EXPECT_THAT(refused(std::string(100000, '[')), HasSubstr("nests too deeply"));
  EXPECT_THAT(refused("{\"version\": 1e999}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(refused(std::string(kMaxGraphText + 1, ' ')), HasSubstr("too long"));
  write_safetensors(path, {}, {{"format", "pt"}});
  EXPECT_THAT(refusal(path), HasSubstr("holds tensors but no graph"));
}

TEST(GraphFile, RefusesEveryTruncation) {
  const std::string path = temporary("whole.safetensors");
  write_graph(path, example_graph());
  const std::vector<std::byte> whole = read_file(path);
  for (size_t size = 0; size < whole.size(); size += size < 64 ? 1 : 13)
    EXPECT_THROW(
        parse_graph(own_bytes({whole.begin(), whole.begin() + static_cast<long>(size)}), "cut"),
        Error)
        << size;
}

TEST(GraphFile, SurvivesRandomDamage) {
  const std::string path = temporary("damage.safetensors");
  write_graph(path, example_graph());
  const std::vector<std::byte> whole = read_file(path);
  Random random(11);
  for (int i = 0; i < 2000; ++i) {
    std::vector<std::byte> damaged = whole;
    for (int64_t n = random.integer(1, 4); n > 0; --n)
      damaged[static_cast<size_t>(random.integer(0, static_cast<int64_t>(damaged.size())))] =
          static_cast<std::byte>(random.integer(0, 256));
    try {
      verify(parse_graph(own_bytes(damaged), "damaged"));  // damage of a constant goes unseen
    } catch (const Error& error) {
      EXPECT_NE(to_string(error.kind()), to_string(ErrorKind::internal)) << error.what();
    }
  }
}

// The files that fuzzing begins with, written without this library.
TEST(GraphFile, ReadsFilesOfOthers) {
  for (const char* name : {"linear", "conv"}) {
    const Graph graph =
        read_graph(std::string(RESIDUA_SOURCE_DIR) + "/tests/graph/fixtures/" + name + ".graph");
    std::vector<Numbers> inputs;
    for (const ValueId id : graph.inputs) {
      const TensorType& type = graph.value(id).type;
      inputs.push_back(
          {type, std::vector<double>(static_cast<size_t>(checked_numel(type.shape, "test")), 1)});
    }
    EXPECT_EQ(interpret(graph, inputs).size(), graph.outputs.size());
  }
}

}  // namespace
}  // namespace residua
