// Costs counted by hand.
#include "residua/graph/cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace residua {
namespace {

ValueId zeros(GraphBuilder& b, const std::string& name, const Shape& shape) {
  return b.constant(name, shape,
                    std::vector<float>(static_cast<size_t>(checked_numel(shape, "test")), 0));
}

TEST(Cost, OfConvolutionsAndProducts) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {2, 8, 10, 10});
  const op::Conv grouped{.stride = {2, 2}, .padding = {1, 1, 1, 1}, .groups = 2};
  const ValueId y = b.add(grouped, {x, zeros(b, "w", {6, 4, 3, 3}), zeros(b, "b", {6})});
  const ValueId flat = b.add(op::Reshape{.sizes = {2, -1}}, {y});
  b.output("y", b.add(op::Linear{}, {flat, zeros(b, "head", {5, 150})}));
  const Graph graph = b.finish();
  const Cost conv = cost_of(graph, graph.nodes[0]);
  EXPECT_EQ(conv.macs, 2 * 6 * 5 * 5 * 4 * 9);
  EXPECT_EQ(conv.weight_bytes, 4 * (6 * 4 * 9 + 6));
  EXPECT_EQ(conv.bytes_read, 4 * (2 * 8 * 100) + conv.weight_bytes);
  EXPECT_EQ(conv.bytes_written, 4 * (2 * 6 * 25));
  EXPECT_EQ(cost_of(graph, graph.nodes[1]).bytes_read, 0);
  EXPECT_EQ(cost_of(graph).macs, conv.macs + 2 * 5 * 150);
  EXPECT_EQ(cost_of(graph).weight_bytes, conv.weight_bytes + 4 * 5 * 150);
}

TEST(Cost, OfAttentionAndBlocks) {
  GraphBuilder b;
  const ValueId q = b.input("q", DType::f32, {2, 4, 5, 8}),
                k = b.input("k", DType::f32, {2, 2, 7, 8});
  const ValueId v = b.input("v", DType::f32, {2, 2, 7, 3});
  b.output("y", b.add(op::Attention{}, {q, k, v}));
  const Graph graph = b.finish();
  EXPECT_EQ(cost_of(graph).macs, 2 * 4 * 5 * 7 * (8 + 3));

  GraphBuilder c;
  const ValueId x = c.input("x", DType::f32, {1, 4, 8, 8});
  const op::FusedBlock block{.stride = 2, .groups = 12};
  c.output("y", c.add(block, {x, zeros(c, "w1", {12, 4, 1, 1}), zeros(c, "b1", {12}),
                              zeros(c, "w2", {12, 1, 3, 3}), zeros(c, "b2", {12}),
                              zeros(c, "w3", {6, 12, 1, 1}), zeros(c, "b3", {6})}));
  EXPECT_EQ(cost_of(c.finish()).macs, 64 * 48 + 16 * (12 * 9 + 72));
}

TEST(GraphText, ShowsTypesSettingsAndModules) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {1, 2, 4, 4}, {{"batch"}});
  const ValueId y =
      b.add(op::Conv{.padding = {1, 1, 1, 1}}, {x, zeros(b, "w", {3, 2, 3, 3})}, "layer1.conv");
  b.output("y", y);
  EXPECT_EQ(to_text(b.finish()),
            "symbol batch = 1\n"
            "input x: F32 [1, 2, 4, 4] [0]=batch\n"
            "y: F32 [1, 3, 4, 4] = conv(x, w) padding=[1,1,1,1]  # layer1.conv\n"
            "output y\n");
}

}  // namespace
}  // namespace residua
