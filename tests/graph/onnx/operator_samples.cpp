#include <fmt/format.h>

#include <functional>

#include "tests/graph/onnx/sample_graphs.h"

namespace residua::testing {
namespace {

class Samples {
 public:
  // One graph, whose outputs are what `make` returns.
  void add(const std::string& name,
           const std::function<std::vector<ValueId>(SampleBuilder&)>& make) {
    SampleBuilder b(graphs_.size() + 1);
    for (const ValueId id : make(b)) b.output(id);
    graphs_.push_back({name, b.finish()});
  }

  // An operation on one input.
  void of_one(const std::string& name, Operation operation, Shape shape, DType dtype = DType::f32) {
    add(name, [&](SampleBuilder& b) { return b.add_all(operation, {b.input(shape, dtype)}); });
  }

  std::vector<SampleGraph> take() { return std::move(graphs_); }

 private:
  std::vector<SampleGraph> graphs_;
};

void products(Samples& s) {
  s.add("conv", [](SampleBuilder& b) -> std::vector<ValueId> {
    const op::Conv conv{.stride = {2, 1}, .padding = {1, 0, 2, 1}, .dilation = {1, 2}, .groups = 2};
    return {b.add(conv, {b.input({2, 4, 9, 8}), b.weight({6, 2, 3, 3}), b.weight({6})})};
  });
  s.add("conv_fused", [](SampleBuilder& b) -> std::vector<ValueId> {
    const op::Conv conv{.padding = {1, 1, 1, 1}, .activation = {UnaryKind::relu}};
    const ValueId x = b.input({1, 4, 6, 6}), summand = b.input({1, 4, 6, 6});
    return {b.add(conv, {x, b.weight({4, 4, 3, 3}), kNoValue, summand})};
  });
  s.add("conv_1d", [](SampleBuilder& b) -> std::vector<ValueId> {
    return {b.add(op::Conv{{1}, {1, 1}, {1}}, {b.input({2, 3, 7}), b.weight({4, 3, 3})})};
  });
  s.add("conv_3d", [](SampleBuilder& b) -> std::vector<ValueId> {
    return {b.add(op::Conv{{1, 2, 1}, {1, 1, 1, 0, 1, 1}, {1, 1, 1}},
                  {b.input({1, 2, 4, 5, 4}), b.weight({3, 2, 2, 3, 3})})};
  });
  s.add("conv_transpose", [](SampleBuilder& b) -> std::vector<ValueId> {
    const op::ConvTranspose o{.stride = {2, 2},
                              .padding = {1, 1, 1, 0},
                              .output_padding = {1, 1},
                              .dilation = {1, 1},
                              .groups = 2};
    return {b.add(o, {b.input({1, 4, 4, 5}), b.weight({4, 3, 3, 3}), b.weight({6})})};
  });
  s.add("linear_matrix", [](SampleBuilder& b) -> std::vector<ValueId> {
    return {b.add(op::Linear{}, {b.input({3, 5}), b.weight({4, 5}), b.weight({4})})};
  });
  s.add("linear_tokens", [](SampleBuilder& b) -> std::vector<ValueId> {
    const op::Linear linear{{UnaryKind::gelu}};
    return {
        b.add(linear, {b.input({2, 3, 5}), b.weight({4, 5}), b.weight({4}), b.input({2, 3, 4})})};
  });
  s.add("matmul", [](SampleBuilder& b) -> std::vector<ValueId> {
    return {b.add(op::MatMul{false, true, 0.5}, {b.input({2, 3, 4, 5}), b.input({3, 6, 5})}),
            b.add(op::MatMul{true, false, 1}, {b.input({4, 3}), b.input({4, 2})})};
  });
  s.add("attention", [](SampleBuilder& b) -> std::vector<ValueId> {
    const ValueId q = b.input({2, 4, 5, 8}), k = b.input({2, 2, 7, 8}), v = b.input({2, 2, 7, 6});
    return {b.add(op::Attention{0.3, false}, {q, k, v}),
            b.add(op::Attention{0.3, true}, {q, k, v, b.input({5, 7})})};
  });
  for (const bool first : {false, true})
    s.add(first ? "conv_first_block" : "inverted_residual", [&](SampleBuilder& b) {
      const op::FusedBlock o{.conv_first = first,
                             .residual = true,
                             .groups = first ? 4 : 8,
                             .activation = {.kind = UnaryKind::clamp, .alpha = 0, .beta = 6}};
      std::vector<ValueId> in{b.input({1, 4, 5, 5})};
      const std::vector<Shape> weights =
          first ? std::vector<Shape>{{4, 1, 3, 3}, {8, 4, 1, 1}, {4, 8, 1, 1}}
                : std::vector<Shape>{{8, 4, 1, 1}, {8, 1, 3, 3}, {4, 8, 1, 1}};
      for (const Shape& shape : weights) {
        in.push_back(b.weight(shape));
        in.push_back(b.weight({shape[0]}));
      }
      return std::vector<ValueId>{b.add(o, in)};
    });
}

void norms(Samples& s) {
  s.add("batch_norm", [](SampleBuilder& b) -> std::vector<ValueId> {
    const ValueId x = b.input({2, 3, 4, 4}), mean = b.weight({3}), variance = b.weight({3}, 0.1, 1);
    return {b.add(op::BatchNorm{1e-3}, {x, mean, variance, b.weight({3}), b.weight({3})}),
            b.add(op::BatchNorm{}, {x, mean, variance})};
  });
  s.add("layer_norm", [](SampleBuilder& b) -> std::vector<ValueId> {
    const ValueId x = b.input({2, 3, 4, 5}), w = b.weight({4, 5}), bias = b.weight({4, 5});
    return {b.add(op::LayerNorm{2, 1e-5, false}, {x, w, bias}),
            b.add(op::LayerNorm{2, 1e-5, false}, {x}),
            b.add(op::LayerNorm{1, 1e-6, true}, {x, b.weight({5})})};
  });
  s.add("group_norm", [](SampleBuilder& b) -> std::vector<ValueId> {
    const ValueId x = b.input({2, 6, 3, 4});
    return {b.add(op::GroupNorm{3, 1e-5}, {x, b.weight({6}), b.weight({6})}),
            b.add(op::GroupNorm{6, 1e-5}, {x})};
  });
  s.of_one("softmax", op::Softmax{1, false}, {2, 5, 3});
  s.of_one("log_softmax", op::Softmax{-1, true}, {2, 5, 3});
}

void pools(Samples& s) {
  for (const PoolKind kind : {PoolKind::max, PoolKind::average}) {
    const std::string name = kind == PoolKind::max ? "max" : "average";
    s.of_one(name + "_pool", op::Pool{.kind = kind, .kernel = {3, 3}, .padding = {1, 1, 1, 1}},
             {1, 2, 8, 7});
    s.of_one(
        name + "_pool_uncounted",
        op::Pool{.kind = kind, .kernel = {3, 2}, .padding = {1, 0, 1, 1}, .count_padding = false},
        {1, 2, 8, 7});
    s.of_one(name + "_pool_ceil",
             op::Pool{.kind = kind, .kernel = {3, 3}, .padding = {1, 1, 1, 1}, .ceil = true},
             {1, 2, 8, 10});
    for (const Shape& sizes : {Shape{1, 1}, Shape{2, 3}, Shape{7, 7}})
      s.of_one(fmt::format("{}_adaptive_{}x{}", name, sizes[0], sizes[1]),
               op::AdaptivePool{kind, sizes}, {1, 2, 4, 9});
  }
  s.of_one("max_pool_dilated", op::Pool{.kernel = {2, 2}, .dilation = {2, 3}}, {1, 2, 8, 9});
}

void functions(Samples& s) {
  for (size_t i = 0; i < EnumNames<UnaryKind>::names.size(); ++i) {
    const auto kind = static_cast<UnaryKind>(i);
    const std::string name = EnumNames<UnaryKind>::names[i];
    op::Activation f{kind, kind == UnaryKind::clamp ? -0.5 : 0.3,
                     kind == UnaryKind::clamp ? 0.7 : 2};
    if (kind == UnaryKind::logical_not) {
      s.of_one(name, op::Unary{f}, {3, 4}, DType::boolean);
      continue;
    }
    s.add(name, [&](SampleBuilder& b) -> std::vector<ValueId> {
      ValueId x = b.input({3, 7});
      if (kind == UnaryKind::log || kind == UnaryKind::log1p || kind == UnaryKind::sqrt ||
          kind == UnaryKind::rsqrt || kind == UnaryKind::reciprocal)
        x = b.add(op::Unary{{UnaryKind::exp}}, {x});
      return {b.add(op::Unary{f}, {x})};
    });
  }
  for (const UnaryKind kind : {UnaryKind::relu, UnaryKind::negate, UnaryKind::absolute,
                               UnaryKind::square, UnaryKind::sign, UnaryKind::round})
    s.of_one(fmt::format("whole_{}", EnumNames<UnaryKind>::names[static_cast<size_t>(kind)]),
             op::Unary{{kind}}, {3, 4}, DType::i64);
  for (size_t i = 0; i < EnumNames<BinaryKind>::names.size(); ++i) {
    const auto kind = static_cast<BinaryKind>(i);
    const bool logical = kind == BinaryKind::logical_and || kind == BinaryKind::logical_or;
    s.add(EnumNames<BinaryKind>::names[i], [&](SampleBuilder& b) -> std::vector<ValueId> {
      const DType dtype = logical ? DType::boolean : DType::f32;
      ValueId x = b.input({2, 3, 4}, dtype);
      const ValueId y = b.input({3, 1}, dtype);
      if (kind == BinaryKind::power) x = b.add(op::Unary{{UnaryKind::exp}}, {x});
      std::vector<ValueId> out{b.add(op::Binary{kind}, {x, y})};
      if (logical || kind == BinaryKind::power) return out;
      const ValueId m = b.input({5}, DType::i64);
      const ValueId n =
          b.add(op::Binary{}, {b.input({5}, DType::i64), b.add(op::Fill{{5}, 1, DType::i64}, {})});
      out.push_back(b.add(op::Binary{kind}, {b.add(op::Unary{{UnaryKind::negate}}, {m}), n}));
      return out;
    });
  }
  s.add("add_then_relu", [](SampleBuilder& b) -> std::vector<ValueId> {
    return {b.add(op::Binary{BinaryKind::add, {UnaryKind::relu}}, {b.input({4}), b.input({4})})};
  });
  s.add("where", [](SampleBuilder& b) -> std::vector<ValueId> {
    return {b.add(op::Where{}, {b.input({2, 1}, DType::boolean), b.input({3}), b.input({2, 3})})};
  });
}

void reductions(Samples& s) {
  for (size_t i = 0; i < EnumNames<ReduceKind>::names.size(); ++i)
    s.add(fmt::format("reduce_{}", EnumNames<ReduceKind>::names[i]), [&](SampleBuilder& b) {
      const auto kind = static_cast<ReduceKind>(i);
      const ValueId x = b.input({2, 3, 4});
      return std::vector<ValueId>{
          b.add(op::Reduce{kind, {1}, false, false}, {x}),
          b.add(op::Reduce{kind, {0, -1}, true, kind == ReduceKind::variance}, {x}),
          b.add(op::Reduce{kind, {}, false, false}, {x})};
    });
  s.of_one("arg_max", op::ArgMax{1, false}, {3, 5});
  s.of_one("arg_max_kept", op::ArgMax{-1, true}, {3, 5});
  s.of_one("top_k", op::TopK{2, 1, true}, {3, 5});
  s.of_one("bottom_k", op::TopK{3, -1, false}, {3, 5});
  s.of_one("cumulative_sum", op::CumulativeSum{1}, {2, 4, 3});
}

void layouts(Samples& s) {
  s.of_one("reshape", op::Reshape{{4, -1}}, {2, 3, 4});
  s.of_one("transpose", op::Transpose{{2, 0, 1}}, {2, 3, 4});
  s.of_one("expand", op::Expand{{2, -1, 4}}, {3, 1});
  s.add("concat", [](SampleBuilder& b) -> std::vector<ValueId> {
    return {b.add(op::Concat{1}, {b.input({2, 3}), b.input({2, 1}), b.input({2, 2})})};
  });
  s.of_one("slice", op::Slice{1, -4, INT64_MAX, 2}, {2, 6});
  s.of_one("pad_constant", op::Pad{{0, 1, 2, 3}, PadMode::constant, 0.5}, {3, 4});
  s.of_one("pad_reflect", op::Pad{{0, 0, 1, 2, 0, 0, 2, 1}, PadMode::reflect, 0}, {1, 2, 4, 4});
  s.of_one("pad_replicate", op::Pad{{0, 0, 1, 2, 0, 0, 2, 1}, PadMode::replicate, 0}, {1, 2, 4, 4});
  s.add("gather", [](SampleBuilder& b) -> std::vector<ValueId> {
    return {b.add(op::Gather{0}, {b.weight({4, 6}), b.input({2, 3}, DType::i64)}),
            b.add(op::Gather{1}, {b.input({2, 5}), b.input({3}, DType::i32)})};
  });
  s.add("cast", [](SampleBuilder& b) -> std::vector<ValueId> {
    const ValueId x = b.input({7});
    return {b.add(op::Cast{DType::i64}, {x}), b.add(op::Cast{DType::f64}, {x}),
            b.add(op::Cast{DType::f32}, {b.input({4}, DType::boolean)})};
  });
  s.add("arange", [](SampleBuilder& b) -> std::vector<ValueId> {
    return {b.add(op::Arange{-2, 5, DType::i64}, {}), b.add(op::Arange{0, 3, DType::f32}, {})};
  });
  s.add("fill", [](SampleBuilder& b) -> std::vector<ValueId> {
    return {b.add(op::Fill{{2, 3}, 1.5, DType::f32}, {}), b.add(op::Fill{{4}, 7, DType::i32}, {})};
  });
  s.of_one("lower_triangle", op::Triangle{false, -1}, {2, 4, 5});
  s.of_one("upper_triangle", op::Triangle{true, 1}, {4, 5});
  s.of_one("resize_nearest", op::Resize{{7, 3}, ResizeMode::nearest, false}, {1, 2, 4, 5});
  s.of_one("resize_linear", op::Resize{{7, 3}, ResizeMode::linear, false}, {1, 2, 4, 5});
  s.of_one("resize_aligned", op::Resize{{7, 9}, ResizeMode::linear, true}, {1, 2, 4, 5});
  s.of_one("resize_cubic", op::Resize{{8, 10}, ResizeMode::cubic, false}, {1, 2, 4, 5});
  s.of_one("pixel_shuffle", op::PixelShuffle{2}, {1, 8, 2, 3});
  for (const DType dtype : {DType::u8, DType::i8})
    s.add(fmt::format("quantize_{}", to_string(dtype)),
          [&](SampleBuilder& b) -> std::vector<ValueId> {
            const ValueId x = b.input({2, 3, 4}), scale = b.weight({3}, 0.002, 0.02);
            const ValueId zero = b.weight({3}, 20, dtype == DType::u8 ? 120 : 0, dtype);
            const ValueId one = b.weight({}, 0, 0.03);
            return {b.add(op::Dequantize{1},
                          {b.add(op::Quantize{dtype, 1}, {x, scale, zero}), scale, zero}),
                    b.add(op::Dequantize{}, {b.add(op::Quantize{dtype}, {x, one}), one})};
          });
}

}  // namespace

std::vector<SampleGraph> operator_samples() {
  Samples samples;
  products(samples);
  norms(samples);
  pools(samples);
  functions(samples);
  reductions(samples);
  layouts(samples);
  return samples.take();
}

}  // namespace residua::testing
