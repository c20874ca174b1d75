// Building, verifying and resizing graphs.
#include "residua/graph/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "residua/core/error.h"

namespace residua {
namespace {

// A convolution whose result is flattened for each image: batch and height may change.
Graph small_network() {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {2, 1, 4, 3}, {{"batch"}, {}, {"height"}, {}});
  const ValueId w = b.constant("w", {2, 1, 3, 3}, std::vector<float>(18, 1));
  const ValueId y = b.add(op::Conv{.padding = {1, 1, 1, 1}}, {x, w}, "layer.conv");
  const ValueId flat = b.add(op::Reshape{.sizes = {2, -1}}, {y});
  b.graph().nodes.back().rules.push_back({"sizes", 0, {"batch"}});
  b.output("y", flat);
  return b.finish();
}

std::string refused(const Graph& graph, ErrorKind kind = ErrorKind::invalid_argument) {
  try {
    verify(graph);
  } catch (const Error& error) {
    EXPECT_EQ(to_string(error.kind()), to_string(kind)) << error.what();
    return error.what();
  }
  return "nothing";
}

TEST(GraphBuilder, InfersTypesAndNamesValues) {
  const Graph graph = small_network();
  ASSERT_EQ(graph.nodes.size(), 2u);
  EXPECT_EQ(graph.shape(graph.nodes[0].outputs[0]), (Shape{2, 2, 4, 3}));
  EXPECT_EQ(graph.shape(graph.outputs[0]), (Shape{2, 24}));
  EXPECT_EQ(graph.value(graph.outputs[0]).name, "y");
  EXPECT_EQ(graph.symbols.at("height").size, 4);
}

TEST(GraphBuilder, KeepsNamesUnique) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {1});
  const ValueId first = b.add(op::Unary{}, {x}, "a"), second = b.add(op::Unary{}, {x}, "a");
  EXPECT_NE(b.graph().value(first).name, b.graph().value(second).name);
  b.output("a", second);  // takes the name from the first
  b.output("x2", x);      // an input keeps its own
  b.output("again", second);
  const Graph graph = b.finish();
  EXPECT_EQ(graph.value(second).name, "a");
  EXPECT_EQ(graph.value(x).name, "x");
  EXPECT_EQ(graph.outputs.size(), 3u);
}

TEST(GraphBuilder, NamesTheNodeOfAnError) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {1, 4, 8, 8});
  const ValueId w = b.constant("w", {1, 1, 1, 1}, {1});
  try {
    b.add(op::Conv{}, {x, w}, "layer1.0.conv1");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::StartsWith("[conv 'layer1.0.conv1': conv] the weight's"));
  }
  EXPECT_THROW(b.add(op::Unary{}, {17}), Error);
  EXPECT_THROW(b.output("y", 17), Error);
}

TEST(Verify, RefusesEachBrokenRule) {
  const Graph good = small_network();
  EXPECT_EQ(refused(good), "nothing");
  const auto broken = [&](auto change) {
    Graph graph = good;
    change(graph);
    return refused(graph);
  };
  using testing::HasSubstr;
  EXPECT_THAT(broken([](Graph& g) { g.nodes[0].inputs[0] = 99; }), HasSubstr("does not have"));
  EXPECT_THAT(broken([](Graph& g) { g.nodes[1].inputs[0] = -7; }), HasSubstr("does not have"));
  EXPECT_THAT(broken([](Graph& g) { std::swap(g.nodes[0], g.nodes[1]); }),
              HasSubstr("before it is written"));
  EXPECT_THAT(broken([](Graph& g) { g.nodes[0].inputs[0] = g.nodes[0].outputs[0]; }),
              HasSubstr("before it is written"));
  EXPECT_THAT(broken([](Graph& g) { g.nodes.push_back(g.nodes[0]); }), HasSubstr("a second time"));
  EXPECT_THAT(broken([](Graph& g) { g.values[0].name = "y"; }), HasSubstr("name of two values"));
  EXPECT_THAT(broken([](Graph& g) { g.values[0].name = ""; }), HasSubstr("has no name"));
  EXPECT_THAT(broken([](Graph& g) {
                g.value(g.outputs[0]).type.shape = {2, 25};
              }),
              HasSubstr("Expected F32 [2, 24]. Received F32 [2, 25]"));
  EXPECT_THAT(broken([](Graph& g) { g.value(g.outputs[0]).type.dtype = DType::f64; }),
              HasSubstr("type of its output"));
  EXPECT_THAT(broken([](Graph& g) { g.values[1].constant->bytes = {}; }), HasSubstr("72"));
  EXPECT_THAT(broken([](Graph& g) { g.values[0].constant = ConstantData{}; }),
              HasSubstr("an input and a constant"));
  EXPECT_THAT(broken([](Graph& g) { g.inputs.clear(); }), HasSubstr("no input"));
  EXPECT_THAT(broken([](Graph& g) { g.inputs = {}, g.axes = {}; }),
              HasSubstr("before it is written"));
  EXPECT_THAT(broken([](Graph& g) { g.inputs.push_back(0); }), HasSubstr("a second time"));
  EXPECT_THAT(broken([](Graph& g) { g.outputs.push_back(g.outputs[0]); }), HasSubstr("twice"));
  EXPECT_THAT(broken([](Graph& g) { g.nodes.pop_back(); }), HasSubstr("never written"));
  EXPECT_THAT(broken([](Graph& g) { g.nodes[1].outputs.clear(); }), HasSubstr("number of outputs"));
  EXPECT_THAT(broken([](Graph& g) { g.nodes[1].rules[0].field = "size"; }),
              HasSubstr("no integer setting"));
  EXPECT_THAT(broken([](Graph& g) { g.nodes[1].rules[0].index = 5; }),
              HasSubstr("no integer setting"));
  EXPECT_THAT(broken([](Graph& g) { g.nodes[1].rules[0].rule.offset = 1; }),
              HasSubstr("as its rule says"));
  EXPECT_THAT(broken([](Graph& g) { g.axes[0].rule.symbol = "b"; }), HasSubstr("no symbol"));
  EXPECT_THAT(broken([](Graph& g) { g.axes[0].axis = 4; }), HasSubstr("no such axis"));
  EXPECT_THAT(broken([](Graph& g) { g.symbols["batch"].max = 1; }), HasSubstr("range"));
}

TEST(WithSizes, MakesTheGraphOfOtherSizes) {
  const Graph graph = small_network();
  const Graph other = with_sizes(graph, {{"batch", 5}, {"height", 7}});
  verify(other);
  EXPECT_EQ(other.shape(other.inputs[0]), (Shape{5, 1, 7, 3}));
  EXPECT_EQ(other.shape(other.outputs[0]), (Shape{5, 42}));
  const Graph back = with_sizes(other, {{"batch", 2}, {"height", 4}});
  for (size_t i = 0; i < graph.values.size(); ++i)
    EXPECT_EQ(back.values[i].type, graph.values[i].type);
}

TEST(WithSizes, RefusesWhatTheGraphCannotTake) {
  Graph graph = small_network();
  graph.symbols["batch"].max = 8;
  const auto kind = [&](const std::map<std::string, int64_t>& sizes) {
    try {
      with_sizes(graph, sizes);
    } catch (const Error& error) {
      return to_string(error.kind());
    }
    return std::string_view("nothing");
  };
  EXPECT_EQ(kind({{"batches", 1}}), to_string(ErrorKind::not_found));
  EXPECT_EQ(kind({{"batch", 9}}), to_string(ErrorKind::limit));
  EXPECT_EQ(kind({{"batch", 0}}), to_string(ErrorKind::limit));
  EXPECT_EQ(kind({{"height", INT64_MAX}}), to_string(ErrorKind::limit));
  EXPECT_EQ(kind({{"batch", 8}}), "nothing");
}

}  // namespace
}  // namespace residua
