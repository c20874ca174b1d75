#include <cmath>

#include "tests/graph/onnx/sample_graphs.h"

namespace residua::testing {
namespace {

ValueId convolution(SampleBuilder& b, ValueId x, int64_t in, int64_t out, int64_t kernel,
                    int64_t stride) {
  const int64_t p = kernel / 2;
  return b.add(op::Conv{.stride = {stride, stride}, .padding = {p, p, p, p}},
               {x, b.weight({out, in, kernel, kernel},
                            std::sqrt(2.0 / static_cast<double>(in * kernel * kernel)))});
}

ValueId normalised(SampleBuilder& b, ValueId x, int64_t channels) {
  return b.add(op::BatchNorm{}, {x, b.weight({channels}, 0.1), b.weight({channels}, 0.1, 1),
                                 b.weight({channels}, 0.1, 1), b.weight({channels}, 0.1)});
}

// "Deep Residual Learning for Image Recognition", table 1, 18 layers, a sixteenth as wide.
Graph residual_network() {
  SampleBuilder b(18);
  const op::Unary relu{{UnaryKind::relu}};
  ValueId x = b.input({2, 3, 64, 64}, DType::f32, {{"batch"}, {}, {"height"}, {"width"}});
  x = b.add(relu, {normalised(b, convolution(b, x, 3, 4, 7, 2), 4)});
  x = b.add(op::Pool{.kernel = {3, 3}, .padding = {1, 1, 1, 1}}, {x});
  int64_t width = 4;
  for (int64_t stage = 0; stage < 4; ++stage) {
    for (int64_t block = 0; block < 2; ++block) {
      const int64_t stride = stage > 0 && block == 0 ? 2 : 1,
                    out = stage > 0 && block == 0 ? 2 * width : width;
      ValueId y = b.add(relu, {normalised(b, convolution(b, x, width, out, 3, stride), out)});
      y = normalised(b, convolution(b, y, out, out, 3, 1), out);
      if (stride != 1) x = normalised(b, convolution(b, x, width, out, 1, stride), out);
      x = b.add(op::Binary{BinaryKind::add, {UnaryKind::relu}}, {y, x});
      width = out;
    }
  }
  x = b.add(op::AdaptivePool{}, {x});
  x = b.add(op::Reshape{{-1, width}}, {x});
  b.output(b.add(op::Linear{}, {x, b.weight({10, width}), b.weight({10})}));
  return b.finish();
}

constexpr int64_t kHeads = 2, kChannels = 16;

struct TokenSizes {
  int64_t batch, tokens;
  SymbolRule batch_rule, token_rule;
};

// [N, T, C] to [N, heads, T, C / heads].
ValueId heads_of(SampleBuilder& b, ValueId x, const TokenSizes& s) {
  x = b.add(op::Reshape{{s.batch, s.tokens, kHeads, kChannels / kHeads}}, {x});
  b.follow("sizes", 0, s.batch_rule);
  if (!s.token_rule.symbol.empty()) b.follow("sizes", 1, s.token_rule);
  return b.add(op::Transpose{{0, 2, 1, 3}}, {x});
}

ValueId transformer_block(SampleBuilder& b, ValueId x, const TokenSizes& s, bool causal,
                          UnaryKind activation) {
  const auto norm = [&](ValueId v) {
    return b.add(op::LayerNorm{}, {v, b.weight({kChannels}, 0.1, 1), b.weight({kChannels}, 0.1)});
  };
  const auto linear = [&](ValueId v, int64_t in, int64_t out, UnaryKind kind, ValueId summand) {
    return b.add(op::Linear{{kind}}, {v, b.weight({out, in}, 0.2), b.weight({out}, 0.1), summand});
  };
  const ValueId y = norm(x);
  ValueId parts[3];
  for (ValueId& part : parts)
    part = heads_of(b, linear(y, kChannels, kChannels, UnaryKind::none, kNoValue), s);
  ValueId z = b.add(op::Attention{1 / std::sqrt(8.0), causal}, {parts[0], parts[1], parts[2]});
  z = b.add(op::Transpose{{0, 2, 1, 3}}, {z});
  z = b.add(op::Reshape{{s.batch, -1, kChannels}}, {z});
  b.follow("sizes", 0, s.batch_rule);
  x = linear(z, kChannels, kChannels, UnaryKind::none, x);
  const ValueId wide = linear(norm(x), kChannels, 4 * kChannels, activation, kNoValue);
  return linear(wide, 4 * kChannels, kChannels, UnaryKind::none, x);
}

// "An Image is Worth 16x16 Words", with patches of 4x4.
Graph vision_transformer() {
  SampleBuilder b(16);
  const TokenSizes s{2, 17, {"batch"}, {}};
  ValueId x = b.input({2, 3, 16, 16}, DType::f32, {{"batch"}});
  x = b.add(op::Conv{.stride = {4, 4}},
            {x, b.weight({kChannels, 3, 4, 4}, 0.2), b.weight({kChannels})});
  x = b.add(op::Transpose{{0, 2, 1}}, {b.add(op::Reshape{{-1, kChannels, 16}}, {x})});
  const ValueId token = b.add(op::Expand{{2, -1, -1}}, {b.weight({1, 1, kChannels})});
  b.follow("sizes", 0, {"batch"});
  x = b.add(op::Concat{1}, {token, x});
  x = b.add(op::Binary{}, {x, b.weight({1, 17, kChannels})});
  x = transformer_block(b, x, s, false, UnaryKind::gelu);
  x = b.add(op::Slice{.axis = 1, .start = 0, .end = 1}, {x});
  x = b.add(op::Reshape{{-1, kChannels}}, {x});
  b.output(b.add(op::Linear{}, {x, b.weight({5, kChannels}), b.weight({5})}));
  return b.finish();
}

// "Language Models are Unsupervised Multitask Learners": positions are counted, keys end with the
// last query.
Graph language_model() {
  SampleBuilder b(2);
  const TokenSizes s{2, 6, {"batch"}, {"tokens"}};
  const ValueId table = b.weight({11, kChannels});
  const ValueId ids = b.input({2, 6}, DType::i64, {{"batch"}, {"tokens"}});
  ValueId x = b.add(op::Gather{0}, {table, ids});
  const ValueId places = b.add(op::Arange{0, 6}, {});
  b.follow("end", 0, {"tokens"});
  x = b.add(op::Binary{}, {x, b.add(op::Gather{0}, {b.weight({32, kChannels}), places})});
  x = transformer_block(b, x, s, true, UnaryKind::gelu_tanh);
  x = b.add(op::LayerNorm{}, {x, b.weight({kChannels}, 0.1, 1), b.weight({kChannels}, 0.1)});
  b.output(b.add(op::Linear{}, {x, table}));
  return b.finish();
}

// Settings that follow sizes, one of each kind that ONNX can say.
Graph open_sizes() {
  SampleBuilder b(3);
  ValueId x = b.input({2, 4, 6, 8}, DType::f32, {{"batch"}, {}, {"height"}});
  const auto following = [&](Operation operation, const std::string& field, int64_t index,
                             SymbolRule rule) {
    const ValueId y = b.add(std::move(operation), {x});
    b.follow(field, index, std::move(rule));
    b.output(y);
  };
  following(op::Resize{{12, 5}}, "sizes", 0, {"height", 2, 0});
  following(op::Slice{.axis = 2, .start = 1, .end = 5}, "end", 0, {"height", 1, -1});
  following(op::Pad{{0, 0, 6, 1, 0, 0, 0, 0}}, "padding", 2, {"height"});
  following(op::TopK{.k = 5, .axis = 2}, "k", 0, {"height", 1, -1});
  following(op::Triangle{.diagonal = -5}, "diagonal", 0, {"height", -1, 1});
  following(op::Reshape{{-1, 4, 2, 24}}, "sizes", 3, {"height", 4, 0});
  b.output(b.add(op::Fill{{6, 3}, 0.5}, {}));
  b.follow("sizes", 0, {"height"});
  for (const PoolKind kind : {PoolKind::max, PoolKind::average})
    b.output(b.add(op::Pool{kind, {3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1}, true, false}, {x}));
  b.output(b.add(op::GroupNorm{2}, {x, b.weight({4}), b.weight({4})}));
  b.output(b.add(op::LayerNorm{3}, {x}));
  b.output(b.add(op::Reduce{ReduceKind::variance, {2, 3}, false, true}, {x}));
  b.output(b.add(op::Attention{0.5, true}, {x, x, x}));
  return b.finish();
}

// Cells of an open axis: bounds that are computed at run time, but by a division, which no rule
// says.
Graph open_cells() {
  SampleBuilder b(4);
  const ValueId x = b.input({2, 4, 6, 8}, DType::f32, {{"batch"}, {}, {"height"}});
  for (const PoolKind kind : {PoolKind::max, PoolKind::average})
    b.output(b.add(op::AdaptivePool{kind, {5, 3}}, {x}));
  return b.finish();
}

}  // namespace

std::vector<SampleGraph> network_samples() {
  return {{"open_sizes", open_sizes()},
          {"open_cells", open_cells()},
          {"residual_network", residual_network()},
          {"vision_transformer", vision_transformer()},
          {"language_model", language_model()}};
}

}  // namespace residua::testing
