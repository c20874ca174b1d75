// Passes together and one by one, on a residual block and on random graphs.
#include <gtest/gtest.h>

#include "residua/graph/passes/passes.h"
#include "tests/graph/made_graph.h"

namespace residua {
namespace {

int64_t fold(Graph& graph) { return fold_constants(graph); }

// A residual network as it is traced becomes its convolutions.
TEST(Optimise, ResidualBlock) {
  Maker m;
  const ValueId x = m.input({1, 3, 8, 8});
  const op::Conv conv{.padding = {1, 1, 1, 1}};
  ValueId y = m.unary(UnaryKind::relu, m.norm(m.b.add(conv, {x, m.weight({4, 3, 3, 3})})));
  y = m.norm(m.b.add(conv, {y, m.weight({4, 4, 3, 3})}));
  const ValueId shortcut = m.norm(m.b.add(op::Conv{}, {x, m.weight({4, 3, 1, 1})}));
  Graph graph = m.finish(m.unary(UnaryKind::relu, m.add(y, shortcut)));
  const Graph before = graph;
  optimise(graph);
  expect_same_function(before, graph);
  EXPECT_EQ(graph.nodes.size(), 3u) << to_text(graph);
}

// What follows symbols still does afterwards.
TEST(Optimise, KeepsSymbols) {
  Maker m;
  const ValueId x = m.b.input("x", kReal, {1, 3, 8, 8}, {{"batch"}, {}, {"height"}, {}});
  const op::Conv conv{.padding = {1, 1, 1, 1}};
  ValueId y = m.unary(UnaryKind::relu, m.norm(m.b.add(conv, {x, m.weight({4, 3, 3, 3})})));
  y = m.add(m.norm(m.b.add(conv, {y, m.weight({4, 4, 3, 3})})), y);
  y = m.b.add(op::AdaptivePool{}, {y});
  y = m.b.add(op::Reshape{.sizes = {1, -1}}, {y});
  m.b.graph().nodes.back().rules.push_back({"sizes", 0, {"batch"}});
  y = m.add(m.b.add(op::MatMul{}, {y, m.weight({4, 5})}), m.weight({5}));
  Graph graph = m.finish(y);
  const Graph before = graph;
  optimise(graph);
  EXPECT_EQ(graph.nodes.size(), 5u) << to_text(graph);
  expect_same_function(before, graph);
  const std::map<std::string, int64_t> sizes{{"batch", 3}, {"height", 11}};
  expect_same_function(with_sizes(before, sizes), with_sizes(graph, sizes));
}

// Random small graphs of everything that passes look at.
Graph random_graph(uint64_t seed) {
  Maker m;
  m.random = Random(seed);
  Random& random = m.random;
  std::vector<ValueId> images{m.input({1, 4, 4, 4})};
  const auto pick = [&] {
    const auto n = static_cast<int64_t>(images.size());
    return images[static_cast<size_t>(random.integer(std::max<int64_t>(0, n - 3), n))];
  };
  const UnaryKind functions[] = {UnaryKind::relu, UnaryKind::sigmoid, UnaryKind::none,
                                 UnaryKind::tanh, UnaryKind::gelu,    UnaryKind::square};
  const int64_t steps = random.integer(4, 16);
  for (int64_t i = 0; i < steps; ++i) {
    const ValueId x = pick();
    ValueId y = x;
    switch (random.integer(0, 12)) {
      case 0: y = m.norm(x); break;
      case 1: y = m.unary(functions[random.integer(0, 6)], x); break;
      case 2: y = m.add(x, pick()); break;
      case 3: y = m.multiply(x, m.unary(UnaryKind::sigmoid, pick())); break;
      case 4: y = m.b.add(op::Conv{}, {x, m.weight({4, 4, 1, 1})}); break;
      case 5: {
        const op::Conv conv{.padding = {1, 1, 1, 1}, .groups = random.bernoulli(0.5) ? 1 : 4};
        y = m.b.add(conv, {x, m.weight({4, 4 / conv.groups, 3, 3}), m.weight({4})});
        break;
      }
      case 6: y = m.binary(BinaryKind::divide, x, m.weight({4, 1, 1}, 1, 2)); break;
      case 7: y = m.add(m.weight({1, 4, 1, 1}), x); break;
      case 8: {
        const std::vector<int64_t> order =
            random.bernoulli(0.5) ? Shape{0, 1, 3, 2} : Shape{0, 2, 1, 3};
        y = m.b.add(op::Transpose{.order = order}, {x});
        break;
      }
      case 9: {
        const ValueId s = m.b.add(op::MatMul{.transpose_b = random.bernoulli(0.5)}, {x, pick()});
        y = m.b.add(op::MatMul{}, {m.b.add(op::Softmax{}, {m.multiply(s, m.scalar(0.5))}), pick()});
        break;
      }
      case 10: {
        const ValueId flat = m.b.add(op::Reshape{.sizes = {1, 4, 16}}, {x});
        y = m.b.add(op::Reshape{.sizes = {1, 4, 4, 4}},
                    {m.b.add(op::MatMul{}, {flat, m.weight({16, 16}, -0.3, 0.3)})});
        break;
      }
      default: {
        const ValueId d = m.binary(BinaryKind::subtract, x, m.mean(x));
        const ValueId root =
            m.unary(UnaryKind::sqrt, m.add(m.mean(m.multiply(d, d)), m.scalar(0.1)));
        y = m.multiply(m.binary(BinaryKind::divide, d, root), m.weight({4}));
      }
    }
    images.push_back(y);
  }
  if (random.bernoulli(0.3)) m.b.output("early", pick());
  return m.finish(images.back());
}

TEST(Optimise, KeepsRandomGraphs) {
  int64_t nodes_before = 0, nodes_after = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const Graph graph = random_graph(seed);
    Graph changed = graph;
    optimise(changed);
    expect_same_function(graph, changed, "seed " + std::to_string(seed));
    Graph blocks = changed;
    fuse_blocks(blocks);
    expect_same_function(graph, blocks, "blocks of seed " + std::to_string(seed));
    EXPECT_LE(changed.nodes.size(), graph.nodes.size()) << seed;
    nodes_before += static_cast<int64_t>(graph.nodes.size());
    nodes_after += static_cast<int64_t>(changed.nodes.size());
  }
  EXPECT_LT(nodes_after, nodes_before * 3 / 4);
}

TEST(Optimise, EachPassKeepsRandomGraphs) {
  int64_t (*const passes[])(Graph&) = {
      remove_dead, fold,           share_common,   remove_identities, products_to_linear,
      fold_affine, fuse_epilogues, fuse_attention, fuse_norms,        fuse_activations};
  for (uint64_t seed = 1000; seed < 1100; ++seed) {
    const Graph graph = random_graph(seed);
    for (size_t p = 0; p < std::size(passes); ++p) {
      Graph changed = graph;
      passes[p](changed);
      expect_same_function(graph, changed, "pass " + std::to_string(p));
    }
  }
}

}  // namespace
}  // namespace residua
