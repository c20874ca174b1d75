// Each pass finds what it is for, leaves what it must, and keeps what the graph computes.
#include "residua/graph/passes/passes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "tests/graph/made_graph.h"

namespace residua {
namespace {

// The operators of the graph after a pass that must have changed something.
std::string after(Graph graph, int64_t (*pass)(Graph&)) {
  const Graph before = graph;
  EXPECT_GT(pass(graph), 0) << to_text(before);
  expect_same_function(before, graph);
  EXPECT_EQ(pass(graph), 0) << "a second run changes more: " << to_text(graph);
  std::string names;
  for (const Node& node : graph.nodes)
    names += (names.empty() ? "" : " ") + std::string(name_of(node.operation));
  return names;
}

int64_t changes(Graph graph, int64_t (*pass)(Graph&)) {
  const Graph before = graph;
  const int64_t n = pass(graph);
  expect_same_function(before, graph);
  return n;
}

int64_t fold(Graph& graph) { return fold_constants(graph); }

TEST(Passes, RemoveDead) {
  Maker m;
  const ValueId x = m.input({2, 3});
  m.unary(UnaryKind::exp, m.unary(UnaryKind::relu, x));
  Graph graph = m.finish(m.unary(UnaryKind::tanh, x));
  EXPECT_EQ(after(graph, remove_dead), "unary");
  remove_dead(graph);
  EXPECT_EQ(graph.values.size(), 2u);
}

TEST(Passes, FoldConstants) {
  Maker m;
  const ValueId x = m.input({2, 3});
  const ValueId c = m.unary(UnaryKind::exp, m.add(m.weight({3}), m.weight({2, 1})));
  EXPECT_EQ(after(m.finish(m.add(x, c)), fold), "binary");
}

TEST(Passes, FoldConstantsLeavesWhatGrowsFollowsOrIsQuantised) {
  Maker m;
  const ValueId x = m.input({4});
  const ValueId large = m.b.add(op::Expand{.sizes = {1 << 18, 4}}, {m.weight({4})});
  m.b.output("large",
             m.b.add(op::Reduce{.kind = ReduceKind::mean, .axes = {0}}, {m.add(large, x)}));
  const ValueId q = m.constant({{DType::i8, {4}}, {1, 2, 3, 4}});
  EXPECT_EQ(changes(m.finish(m.add(x, m.b.add(op::Dequantize{}, {q, m.scalar(0.5)}))), fold), 0);

  GraphBuilder b;
  const ValueId tokens = b.input("x", kReal, {3}, {{"tokens"}});
  const ValueId places = b.add(op::Arange{.end = 3, .dtype = kReal}, {});
  b.graph().nodes.back().rules.push_back({"end", 0, {"tokens"}});
  b.output("y", b.add(op::Binary{}, {tokens, places}));
  const Graph graph = b.finish();
  EXPECT_EQ(changes(graph, fold), 0);
}

TEST(Passes, ShareCommon) {
  Maker m;
  const ValueId x = m.input({2, 3});
  const ValueId a = m.add(m.unary(UnaryKind::exp, x), m.scalar(2));
  const ValueId b = m.add(m.unary(UnaryKind::exp, x), m.scalar(2));
  EXPECT_EQ(after(m.finish(m.multiply(a, b)), share_common), "unary binary binary");
}

TEST(Passes, ShareCommonKeepsOutputsApart) {
  Maker m;
  const ValueId x = m.input({2, 3});
  m.b.output("one", m.unary(UnaryKind::exp, x));
  EXPECT_EQ(changes(m.finish(m.unary(UnaryKind::exp, x)), share_common), 0);
}

TEST(Passes, RemoveIdentities) {
  Maker m;
  const ValueId x = m.input({2, 3, 4});
  ValueId y = m.b.add(op::Transpose{.order = {2, 0, 1}}, {x});
  y = m.b.add(op::Transpose{.order = {1, 2, 0}}, {y});
  y = m.b.add(op::Cast{.dtype = kReal}, {y});
  y = m.b.add(op::Slice{.axis = 1}, {m.b.add(op::Concat{.axis = 1}, {y})});
  y = m.b.add(op::Pad{.padding = {0, 0, 0, 0, 0, 0}}, {m.unary(UnaryKind::none, y)});
  y = m.b.add(op::Reshape{.sizes = {6, 4}}, {m.b.add(op::Reshape{.sizes = {-1}}, {y})});
  y = m.b.add(op::Expand{.sizes = {6, 4}}, {y});
  EXPECT_EQ(after(m.finish(m.unary(UnaryKind::exp, y)), remove_identities), "reshape unary");
}

TEST(Passes, RemoveIdentitiesKeepsCopiesOfInputs) {
  Maker m;
  const ValueId x = m.input({2});
  EXPECT_EQ(changes(m.finish(m.unary(UnaryKind::none, x)), remove_identities), 0);
}

TEST(Passes, RemoveIdentitiesLooksAtOtherSizes) {
  GraphBuilder b;
  const ValueId x = b.input("x", kReal, {1, 24}, {{}, {"width"}});
  const ValueId rows = b.add(op::Reshape{.sizes = {-1, 24}}, {x});  // the same only at 24
  const ValueId list =
      b.add(op::Reshape{.sizes = {1, -1}}, {b.add(op::Unary{{UnaryKind::exp}}, {rows})});
  b.output("y", b.add(op::Unary{{UnaryKind::exp}}, {list}));
  Graph graph = b.finish();
  EXPECT_EQ(changes(graph, remove_identities), 0);
}

TEST(Passes, FoldBatchNormAfterConvolutions) {
  Maker m;
  ValueId y = m.input({1, 4, 6, 5});
  const op::Conv conv{.padding = {1, 1, 1, 1}, .groups = 2};
  y = m.unary(UnaryKind::relu, m.norm(m.b.add(conv, {y, m.weight({6, 2, 3, 3})})));
  const op::ConvTranspose up{.stride = {2, 2}, .groups = 3};
  y = m.norm(m.b.add(up, {y, m.weight({6, 2, 2, 2}), m.weight({6})}));
  y = m.b.add(op::Reshape{.sizes = {1, -1}}, {y});
  y = m.norm(m.b.add(op::Linear{}, {y, m.weight({3, 720}), m.weight({3})}));
  EXPECT_EQ(after(m.finish(y), fold_affine), "conv unary conv_transpose reshape linear");
}

TEST(Passes, FoldBatchNormBeforeConvolutionsWithoutPadding) {
  for (const int64_t padding : {0, 1}) {
    Maker m;
    const ValueId x = m.norm(m.input({1, 4, 6, 5}));
    const op::Conv conv{.padding = {padding, 0, 0, 0}, .groups = 2};
    const Graph graph = m.finish(m.b.add(conv, {x, m.weight({6, 2, 3, 3})}));
    if (padding == 0) {
      EXPECT_EQ(after(graph, fold_affine), "conv");
    } else {
      EXPECT_EQ(changes(graph, fold_affine), 0);
    }
  }
}

TEST(Passes, PreActivationNormsStay) {
  Maker m;
  const ValueId x = m.input({1, 4, 6, 5});
  const ValueId y = m.unary(UnaryKind::relu, m.norm(x));
  EXPECT_EQ(changes(m.finish(m.b.add(op::Conv{}, {y, m.weight({6, 4, 3, 3})})), fold_affine), 0);
}

TEST(Passes, FoldAffineTakesScalesAndShiftsOfChannels) {
  Maker m;
  ValueId y = m.b.add(op::Conv{}, {m.input({1, 4, 6, 5}), m.weight({6, 4, 3, 3}), m.weight({6})});
  y = m.multiply(m.weight({6, 1, 1}), y);
  y = m.binary(BinaryKind::subtract, m.scalar(3), y);
  y = m.binary(BinaryKind::divide, y, m.weight({1, 6, 1, 1}, 1, 2));
  y = m.add(y, m.weight({6, 1, 1}));
  EXPECT_EQ(after(m.finish(y), fold_affine), "conv");
  Maker n;  // along the width: no channels
  y = n.b.add(op::Conv{}, {n.input({1, 4, 8, 8}), n.weight({6, 4, 3, 3})});
  EXPECT_EQ(changes(n.finish(n.add(y, n.weight({6}))), fold_affine), 0);
}

TEST(Passes, FoldAffineNeedsTheOnlyReader) {
  Maker m;
  const ValueId y = m.b.add(op::Conv{}, {m.input({1, 4, 6, 5}), m.weight({6, 4, 3, 3})});
  EXPECT_EQ(changes(m.finish(m.add(m.norm(y), y)), fold_affine), 0);
}

TEST(Passes, FuseEpilogues) {
  Maker m;
  const ValueId x = m.input({1, 4, 6, 5});
  const op::Conv conv{.padding = {1, 1, 1, 1}};
  ValueId y = m.unary(UnaryKind::relu, m.b.add(conv, {x, m.weight({4, 4, 3, 3})}));
  y = m.b.add(conv, {y, m.weight({4, 4, 3, 3})});
  y = m.unary(UnaryKind::clamp, m.add(x, y), 0, 1);
  EXPECT_EQ(after(m.finish(y), fuse_epilogues), "conv conv");
}

TEST(Passes, FuseEpiloguesOfTwoBranches) {
  Maker m;
  const ValueId x = m.input({2, 5});
  const ValueId a = m.b.add(op::Linear{}, {x, m.weight({3, 5})});
  const ValueId b = m.b.add(op::Linear{}, {m.unary(UnaryKind::exp, x), m.weight({3, 5})});
  const ValueId y = m.unary(UnaryKind::gelu, m.add(a, b));
  EXPECT_EQ(after(m.finish(m.unary(UnaryKind::tanh, m.add(y, m.scalar(1)))), fuse_epilogues),
            "unary linear linear binary");
}

TEST(Passes, FuseEpiloguesLeavesBroadcastsAndSharedValues) {
  Maker m;
  const ValueId x = m.input({2, 5});
  const ValueId a = m.b.add(op::Linear{}, {x, m.weight({3, 5})});
  const ValueId mean = m.mean(m.unary(UnaryKind::exp, x));
  EXPECT_EQ(changes(m.finish(m.add(a, mean)), fuse_epilogues), 0);
  Maker n;
  const ValueId y = n.b.add(op::Linear{}, {n.input({2, 5}), n.weight({3, 5})});
  EXPECT_EQ(changes(n.finish(n.multiply(n.unary(UnaryKind::relu, y), y)), fuse_epilogues), 0);
  // Equal shapes by chance: the summand has one row at every batch.
  GraphBuilder b;
  const ValueId z = b.input("z", kReal, {1, 5}, {{"batch"}}), s = b.input("s", kReal, {1, 5});
  const ConstantData w = write_numbers({{kReal, {5, 5}}, std::vector<double>(25, 0.5)});
  const ValueId wide =
      b.add(op::Linear{}, {z, b.constant("w", TensorData{{"w", kReal, {5, 5}}, w.owner, w.bytes})});
  b.output("y", b.add(op::Binary{}, {wide, s}));
  const Graph graph = b.finish();
  EXPECT_EQ(changes(graph, fuse_epilogues), 0);
}

// Attention as it is written in pieces. `keys`: 0 transposed by the product, 1 by a transpose of
// the last two axes, 2 by one transpose together with the heads.
Graph written_attention(int keys, bool scale_first, int mask) {
  Maker m;
  const ValueId x = m.input({2, 3, 8});
  const auto heads = [&](const std::vector<int64_t>& order) {
    const ValueId y = m.b.add(op::Linear{}, {x, m.weight({8, 8})});
    const ValueId split = m.b.add(op::Reshape{.sizes = {2, 3, 2, 4}}, {y});
    return m.b.add(op::Transpose{.order = order}, {split});
  };
  ValueId q = heads({0, 2, 1, 3}), k = heads(keys == 2 ? Shape{0, 2, 3, 1} : Shape{0, 2, 1, 3});
  const ValueId v = heads({0, 2, 1, 3});
  if (keys == 1) k = m.b.add(op::Transpose{.order = {0, 1, 3, 2}}, {k});
  if (scale_first) q = m.multiply(q, m.scalar(0.5));
  ValueId s = m.b.add(op::MatMul{.transpose_b = keys == 0}, {q, k});
  if (!scale_first) s = m.binary(BinaryKind::divide, s, m.scalar(2));
  const double hidden = -std::numeric_limits<double>::infinity();
  if (mask == 1) s = m.add(s, m.weight({2, 1, 3, 3}));
  if (mask == 2)
    s = m.add(s, m.constant({{kReal, {1, 1, 3, 3}}, {0, hidden, hidden, 0, 0, hidden, 0, 0, 0}}));
  const ValueId y = m.b.add(op::MatMul{}, {m.b.add(op::Softmax{}, {s}), v});
  return m.finish(m.b.add(op::Reshape{.sizes = {2, 3, 8}},
                          {m.b.add(op::Transpose{.order = {0, 2, 1, 3}}, {y})}));
}

TEST(Passes, FuseAttention) {
  for (int keys = 0; keys < 3; ++keys)
    for (const bool scale_first : {false, true})
      for (int mask = 0; mask < 3; ++mask) {
        Graph graph = written_attention(keys, scale_first, mask);
        EXPECT_THAT(after(graph, fuse_attention),
                    testing::AllOf(testing::HasSubstr("attention"),
                                   testing::Not(testing::HasSubstr("softmax")),
                                   testing::Not(testing::HasSubstr("binary"))));
        fuse_attention(graph);
        for (const Node& node : graph.nodes)
          if (const auto* attention = std::get_if<op::Attention>(&node.operation)) {
            EXPECT_EQ(attention->causal, mask == 2);
            EXPECT_EQ(attention->scale, 0.5);
            EXPECT_EQ(node.inputs.size(), mask == 1 ? 4u : 3u);
          }
      }
}

// Batch and heads in one axis, as the zoo's attention is traced: two key heads for four queries'
// heads, tokens that follow a symbol, and a triangle as causal mask.
Graph flat_attention(bool causal, int64_t tokens) {
  GraphBuilder b;
  const auto follow = [&](const std::string& field, int64_t index, int64_t offset = 0) {
    b.graph().nodes.back().rules.push_back({field, index, {"tokens", 1, offset}});
  };
  const auto flat = [&](ValueId x) {
    const ValueId y = b.add(op::Reshape{.sizes = {-1, tokens, 4}}, {x});
    follow("sizes", 1);
    return y;
  };
  const auto repeated = [&](ValueId x) {
    const ValueId split = b.add(op::Reshape{.sizes = {2, 2, 1, tokens, 4}}, {x});
    follow("sizes", 3);
    return flat(b.add(op::Expand{.sizes = {-1, -1, 2, -1, -1}}, {split}));
  };
  const SymbolRule fixed, length{"tokens"};
  const std::vector<SymbolRule> axes{fixed, fixed, length, fixed};
  const ValueId q = flat(b.input("q", kReal, {2, 4, tokens, 4}, axes));
  const ValueId k = repeated(b.input("k", kReal, {2, 2, tokens, 4}, axes));
  const ValueId v = repeated(b.input("v", kReal, {2, 2, tokens, 4}, axes));
  const ValueId kt = b.add(op::Transpose{.order = {0, 2, 1}}, {k});
  ValueId s = b.add(op::MatMul{.scale = 0.5}, {q, kt});
  if (causal) {
    const ValueId fill = b.add(op::Fill{.sizes = {tokens, tokens},
                                        .value = -std::numeric_limits<double>::infinity(),
                                        .dtype = kReal},
                               {});
    follow("sizes", 0);
    follow("sizes", 1);
    s = b.add(op::Binary{}, {b.add(op::Triangle{.upper = true, .diagonal = 1}, {fill}), s});
  }
  const ValueId y = b.add(op::MatMul{}, {b.add(op::Softmax{}, {s}), v});
  const ValueId heads = b.add(op::Reshape{.sizes = {2, 4, tokens, -1}}, {y});
  follow("sizes", 2);
  b.output("y", heads);
  return b.finish();
}

TEST(Passes, FuseAttentionOfFlatHeads) {
  for (const bool causal : {false, true}) {
    const Graph graph = flat_attention(causal, 3);
    EXPECT_EQ(after(graph, fuse_attention), "attention");
    Graph fused = graph;
    fuse_attention(fused);
    EXPECT_EQ(std::get<op::Attention>(fused.nodes[0].operation).causal, causal);
    expect_same_function(with_sizes(graph, {{"tokens", 5}}), with_sizes(fused, {{"tokens", 5}}));
  }
}

TEST(Passes, FuseAttentionNeedsTheLastAxis) {
  Maker m;
  const ValueId x = m.input({1, 2, 3, 3});
  const ValueId s = m.b.add(op::MatMul{.transpose_b = true}, {x, x});
  const ValueId p = m.b.add(op::Softmax{.axis = 2}, {s});
  EXPECT_EQ(changes(m.finish(m.b.add(op::MatMul{}, {p, x})), fuse_attention), 0);
}

TEST(Passes, FuseNorms) {
  for (const bool rms : {false, true}) {
    for (int form = 0; form < 4; ++form) {
      Maker m;
      const ValueId x = m.input({2, 3, 6});
      const ValueId y = rms ? x : m.binary(BinaryKind::subtract, x, m.mean(x));
      const ValueId square = form == 0   ? m.binary(BinaryKind::power, y, m.scalar(2))
                             : form == 1 ? m.multiply(y, y)
                                         : m.unary(UnaryKind::square, y);
      const ValueId shifted = m.add(m.mean(square), m.scalar(1e-3, {1}));
      const ValueId root = m.unary(form == 3 ? UnaryKind::rsqrt : UnaryKind::sqrt, shifted);
      ValueId z = form == 3   ? m.multiply(root, y)
                  : form == 2 ? m.multiply(y, m.unary(UnaryKind::reciprocal, root))
                              : m.binary(BinaryKind::divide, y, root);
      z = m.add(m.multiply(m.weight({6}), z), m.weight({6}));
      const Graph graph = m.finish(z);
      EXPECT_EQ(after(graph, fuse_norms), "layer_norm");
      Graph fused = graph;
      fuse_norms(fused);
      EXPECT_EQ(std::get<op::LayerNorm>(fused.nodes[0].operation).rms, rms);
    }
  }
}

TEST(Passes, FuseNormsNeedsTheSameValue) {
  Maker m;
  const ValueId x = m.input({2, 6}), other = m.unary(UnaryKind::exp, x);
  const ValueId root = m.unary(UnaryKind::sqrt, m.mean(m.multiply(other, other)));
  EXPECT_EQ(changes(m.finish(m.binary(BinaryKind::divide, x, root)), fuse_norms), 0);
}

TEST(Passes, FuseActivations) {
  using std::numbers::sqrt2;
  const auto fused = [](auto build) {
    Maker m;
    const ValueId x = m.input({2, 6});
    Graph graph = m.finish(build(m, x));
    EXPECT_EQ(after(graph, fuse_activations), "unary") << to_text(graph);
    fuse_activations(graph);
    return std::get<op::Unary>(graph.nodes[0].operation).function.kind;
  };
  EXPECT_EQ(
      fused([](Maker& m, ValueId x) { return m.multiply(x, m.unary(UnaryKind::sigmoid, x)); }),
      UnaryKind::silu);
  EXPECT_EQ(
      fused([](Maker& m, ValueId x) { return m.multiply(m.unary(UnaryKind::hard_sigmoid, x), x); }),
      UnaryKind::hard_swish);
  EXPECT_EQ(fused([](Maker& m, ValueId x) {
              return m.multiply(x, m.unary(UnaryKind::tanh, m.unary(UnaryKind::softplus, x, 0, 1)));
            }),
            UnaryKind::mish);
  const auto half_erf = [](Maker& m, ValueId z) {
    return m.add(m.unary(UnaryKind::erf, z), m.scalar(1));
  };
  EXPECT_EQ(fused([&](Maker& m, ValueId x) {  // (x * (1 + erf(x / sqrt 2))) * 0.5
              const ValueId e = half_erf(m, m.binary(BinaryKind::divide, x, m.scalar(sqrt2)));
              return m.multiply(m.multiply(x, e), m.scalar(0.5));
            }),
            UnaryKind::gelu);
  EXPECT_EQ(fused([&](Maker& m, ValueId x) {  // (0.5 x) * (1 + erf(x * 0.7071...))
              const ValueId e = half_erf(m, m.multiply(m.scalar(1 / sqrt2), x));
              return m.multiply(m.multiply(m.scalar(0.5), x), e);
            }),
            UnaryKind::gelu);
  for (const bool power : {false, true})
    EXPECT_EQ(fused([&](Maker& m, ValueId x) {
                const ValueId cube = power ? m.binary(BinaryKind::power, x, m.scalar(3))
                                           : m.multiply(x, m.multiply(x, x));
                const ValueId sum = m.add(x, m.multiply(cube, m.scalar(0.044715)));
                const ValueId t = m.unary(
                    UnaryKind::tanh, m.multiply(sum, m.scalar(std::sqrt(2 / std::numbers::pi))));
                return m.multiply(m.multiply(x, m.scalar(0.5)), m.add(m.scalar(1), t));
              }),
              UnaryKind::gelu_tanh);
}

TEST(Passes, FuseActivationsNeedsTheConstants) {
  Maker m;
  const ValueId x = m.input({2, 6});
  const ValueId e = m.add(m.unary(UnaryKind::erf, m.multiply(x, m.scalar(0.7))), m.scalar(1));
  EXPECT_EQ(changes(m.finish(m.multiply(m.multiply(x, e), m.scalar(0.5))), fuse_activations), 0);
}

TEST(Passes, ProductsToLinear) {
  Maker m;
  ValueId y = m.b.add(op::MatMul{.scale = 2}, {m.input({2, 3, 4}), m.weight({4, 5})});
  y = m.b.add(op::MatMul{.transpose_b = true}, {y, m.weight({6, 5})});
  EXPECT_EQ(after(m.finish(y), products_to_linear), "linear linear");
}

TEST(Passes, FuseBlocks) {
  const op::Activation relu6{UnaryKind::clamp, 0, 6};
  for (const bool conv_first : {false, true}) {
    for (const int64_t stride : {1, 2}) {
      Maker m;
      const ValueId x = m.input({1, 4, 6, 6});
      const op::Conv wide{.activation = relu6};
      const op::Conv grouped{.stride = {stride, stride},
                             .padding = {1, 1, 1, 1},
                             .groups = conv_first ? 4 : 12,
                             .activation = conv_first ? op::Activation{} : relu6};
      ValueId y;
      if (conv_first) {
        y = m.b.add(grouped, {x, m.weight({4, 1, 3, 3}), m.weight({4})});
        y = m.b.add(wide, {y, m.weight({12, 4, 1, 1}), m.weight({12})});
      } else {
        y = m.b.add(wide, {x, m.weight({12, 4, 1, 1}), m.weight({12})});
        y = m.b.add(grouped, {y, m.weight({12, 1, 3, 3})});  // without bias
      }
      std::vector<ValueId> project{y, m.weight({4, 12, 1, 1}), m.weight({4})};
      if (stride == 1) project.push_back(x);
      EXPECT_EQ(after(m.finish(m.b.add(op::Conv{}, project)), fuse_blocks), "fused_block");
    }
  }
}

TEST(Passes, FuseBlocksNeedsTheBlockAlone) {
  Maker m;
  const ValueId x = m.input({1, 4, 6, 6});
  const op::Conv grouped{.padding = {1, 1, 1, 1}, .groups = 12};
  const ValueId wide = m.b.add(op::Conv{}, {x, m.weight({12, 4, 1, 1})});
  const ValueId y = m.b.add(grouped, {wide, m.weight({12, 1, 3, 3})});
  const ValueId other = m.unary(UnaryKind::exp, x);  // a summand that is not the input
  const Graph graph =
      m.finish(m.b.add(op::Conv{}, {y, m.weight({4, 12, 1, 1}), m.weight({4}), other}));
  EXPECT_EQ(changes(graph, fuse_blocks), 0);
}

}  // namespace
}  // namespace residua
