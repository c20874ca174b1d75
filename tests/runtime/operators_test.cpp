// Each operator of a plan against the reference interpreter.
#include "tests/runtime/plan_check.h"

namespace residua {
namespace {

struct Operand {
  Shape shape;
  DType dtype = DType::f32;
};

// The operation on inputs, plain and behind a convolution that leaves a blocked image.
Graph operator_graph(const Operation& operation, const std::vector<Operand>& operands,
                     const std::vector<Shape>& constants = {}, bool blocked = false) {
  GraphBuilder b;
  std::vector<ValueId> inputs;
  for (const Operand& o : operands) {
    ValueId x = b.input("x" + std::to_string(inputs.size()), o.dtype, o.shape);
    if (blocked && o.shape.size() == 4 && o.dtype == DType::f32 && inputs.empty())
      x = b.add(op::Conv{}, {x, random_constant(b, {o.shape[1], o.shape[1], 1, 1}, 7)});
    inputs.push_back(x);
  }
  uint64_t seed = 10;
  for (const Shape& shape : constants) inputs.push_back(random_constant(b, shape, seed++));
  for (const ValueId v : b.add_all(operation, inputs)) b.output("y" + std::to_string(v), v);
  return b.finish();
}

void check(const Operation& operation, const std::vector<Operand>& operands,
           const std::vector<Shape>& constants = {}, double bf16 = 0.02) {
  for (const bool blocked : {false, true}) {
    const Graph graph = operator_graph(operation, operands, constants, blocked);
    EXPECT_LE(plan_error(graph), kFp32) << to_text(graph) << kernels_of(graph);
    EXPECT_EQ(kernels_of(graph).find("interpreter"), std::string::npos) << kernels_of(graph);
    if (bf16 == 0) continue;
    EXPECT_LE(plan_error(graph, {.dtype = PlanDType::bf16}), bf16)
        << to_text(graph) << kernels_of(graph, {.dtype = PlanDType::bf16});
  }
}

TEST(PlanOperators, Unary) {
  for (size_t i = 0; i < EnumNames<UnaryKind>::names.size(); ++i) {
    const auto kind = static_cast<UnaryKind>(i);
    if (kind == UnaryKind::logical_not) continue;
    const bool positive = kind == UnaryKind::log || kind == UnaryKind::log1p ||
                          kind == UnaryKind::sqrt || kind == UnaryKind::rsqrt ||
                          kind == UnaryKind::reciprocal;
    const bool jumps = kind == UnaryKind::floor || kind == UnaryKind::ceil ||
                       kind == UnaryKind::round || kind == UnaryKind::sign;
    GraphBuilder b;
    ValueId x = b.input("x", DType::f32, {3, 37});
    if (positive) {  // away from the pole
      x = b.add(op::Unary{{UnaryKind::exp}}, {x});
    }
    b.output("y", b.add(op::Unary{{kind, 0.25, 0.75}}, {x}));
    const Graph graph = b.finish();
    EXPECT_LE(plan_error(graph), 1e-6) << to_text(graph);
    if (!jumps) {
      EXPECT_LE(plan_error(graph, {.dtype = PlanDType::bf16}), 0.02) << to_text(graph);
    }
  }
}

TEST(PlanOperators, Binary) {
  for (const BinaryKind kind : {BinaryKind::add, BinaryKind::subtract, BinaryKind::multiply,
                                BinaryKind::minimum, BinaryKind::maximum})
    for (const Shape& other : {Shape{2, 18, 5, 3}, Shape{1}, Shape{2, 18, 1, 1}, Shape{1, 18, 1, 1},
                               Shape{3}, Shape{5, 1}, Shape{18, 1, 1}, Shape{2, 1, 5, 3}}) {
      const op::Binary o{kind, {UnaryKind::relu}};
      check(o, {{{2, 18, 5, 3}}, {other}});
      check(o, {{other}, {{2, 18, 5, 3}}});
    }
  check(op::Binary{BinaryKind::divide}, {{{1, 16, 5, 3}}}, {{16, 1, 1}}, 0.1);
  check(op::Binary{BinaryKind::add}, {{{4, 1}}, {{1, 5}}});
  check(op::Binary{BinaryKind::less}, {{{4, 3}}, {{4, 3}}}, {}, 0);
}

TEST(PlanOperators, Norms) {
  check(op::LayerNorm{}, {{{2, 5, 37}}}, {{37}, {37}});
  check(op::LayerNorm{.axes = 2, .rms = true}, {{{2, 5, 6}}}, {{5, 6}});
  check(op::GroupNorm{.groups = 3}, {{{2, 18, 5, 3}}}, {{18}, {18}});
  check(op::Softmax{}, {{{3, 4, 37}}});
  check(op::Softmax{.axis = 1}, {{{2, 18, 5, 3}}});
  check(op::Softmax{.axis = -1, .log = true}, {{{3, 19}}});
}

TEST(PlanOperators, BatchNorm) {
  for (const int64_t channels : {16, 18}) {
    GraphBuilder b;
    const ValueId x = b.input("x", DType::f32, {2, channels, 5, 3});
    const ValueId y = b.add(op::Conv{}, {x, random_constant(b, {channels, channels, 1, 1}, 7)});
    const auto variance =
        b.constant("variance", {channels}, std::vector<float>(static_cast<size_t>(channels), 0.5f));
    b.output("y", b.add(op::BatchNorm{},
                        {y, random_constant(b, {channels}, 1), variance,
                         random_constant(b, {channels}, 2), random_constant(b, {channels}, 3)}));
    const Graph graph = b.finish();
    EXPECT_LE(plan_error(graph), kFp32) << kernels_of(graph);
    EXPECT_LE(plan_error(graph, {.dtype = PlanDType::bf16}), 0.02);
  }
}

// As in DenseNet: the function runs in the norm's step, and filled-up channels stay zero.
TEST(PlanOperators, BatchNormAndFunction) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {2, 18, 5, 3});
  ValueId y = b.add(op::Conv{}, {x, random_constant(b, {18, 18, 1, 1}, 7)});
  y = b.add(op::BatchNorm{}, {y, random_constant(b, {18}, 1),
                              b.constant("variance", {18}, std::vector<float>(18, 0.5f))});
  y = b.add(op::Unary{{UnaryKind::cos}}, {y});
  b.output("y", b.add(op::Conv{}, {y, random_constant(b, {18, 18, 1, 1}, 8)}));
  const Graph graph = b.finish();
  EXPECT_LE(plan_error(graph), kFp32) << kernels_of(graph);
  EXPECT_EQ(kernels_of(graph).find("unary"), std::string::npos) << kernels_of(graph);
}

TEST(PlanOperators, Pools) {
  for (const PoolKind kind : {PoolKind::max, PoolKind::average})
    for (const bool counted : {false, true}) {
      check(op::Pool{.kind = kind, .count_padding = counted}, {{{2, 18, 6, 4}}});
      check(op::Pool{.kind = kind,
                     .kernel = {3, 3},
                     .stride = {2, 2},
                     .padding = {1, 1, 1, 1},
                     .count_padding = counted},
            {{{1, 16, 7, 8}}});
      check(op::Pool{.kind = kind,
                     .kernel = {3, 2},
                     .stride = {2, 2},
                     .padding = {0, 0, 0, 0},
                     .ceil = true,
                     .count_padding = counted},
            {{{1, 16, 8, 7}}});
    }
  check(op::AdaptivePool{}, {{{2, 18, 6, 4}}});
  check(op::AdaptivePool{.sizes = {3, 2}}, {{{2, 16, 6, 4}}});
  check(op::AdaptivePool{.sizes = {3, 3}}, {{{1, 5, 7, 4}}});
}

TEST(PlanOperators, Reductions) {
  for (const ReduceKind kind : {ReduceKind::sum, ReduceKind::mean, ReduceKind::max, ReduceKind::min,
                                ReduceKind::l2, ReduceKind::variance})
    for (const bool keep : {false, true}) {
      check(op::Reduce{kind, {2, 3}, keep}, {{{2, 18, 5, 3}}});
      check(op::Reduce{kind, {-1}, keep}, {{{2, 16, 5, 3}}});
      check(op::Reduce{kind, {1}, keep}, {{{2, 16, 5, 3}}});
      check(op::Reduce{kind, {}, keep}, {{{2, 7}}});
      check(op::Reduce{kind, {0, 2}, keep}, {{{2, 7, 3}}});
    }
}

TEST(PlanOperators, Movements) {
  check(op::Reshape{.sizes = {2, -1}}, {{{2, 18, 5, 3}}});
  check(op::Transpose{.order = {0, 2, 3, 1}}, {{{2, 18, 5, 3}}});
  check(op::Transpose{.order = {1, 0}}, {{{37, 21}}});
  check(op::Transpose{.order = {0, 2, 1}}, {{{1, 5, 1}}});
  check(op::Expand{.sizes = {2, 4, 3}}, {{{4, 1}}});
  check(op::Concat{.axis = 1}, {{{1, 16, 5, 3}}, {{1, 32, 5, 3}}});
  check(op::Concat{.axis = 1}, {{{2, 16, 5, 3}}, {{2, 3, 5, 3}}});
  check(op::Concat{.axis = 0}, {{{2, 3}}, {{1, 3}}, {{2, 3}}});
  check(op::Concat{.axis = 1}, {{{2, 3}, DType::i64}, {{2, 1}, DType::i64}}, {}, 0);
  check(op::Slice{.axis = 1, .start = 0, .end = 16}, {{{1, 32, 5, 3}}});
  check(op::Slice{.axis = 1, .start = 3, .end = 9}, {{{2, 18, 5, 3}}});
  check(op::Slice{.axis = 2, .start = 1, .end = 9, .step = 2}, {{{2, 3, 8}}});
  check(op::Slice{.axis = 0, .start = -2}, {{{4, 3}}});
  check(op::Pad{.padding = {0, 0, 1, 2, 0, 0, 0, 1}, .value = 0.5}, {{{1, 3, 4, 5}}});
  check(op::Pad{.padding = {1, 0, 0, 2}, .value = 7}, {{{3, 4}, DType::i64}}, {}, 0);
  check(op::Pad{.padding = {0, 0, 1, 2, 0, 0, 1, 1}, .mode = PadMode::reflect}, {{{1, 3, 4, 5}}});
  check(op::Gather{.axis = 0}, {{{7, 6}}, {{2, 3}, DType::i64}});
  check(op::Gather{.axis = 1}, {{{2, 7, 3}}, {{4}, DType::i64}});
  check(op::PixelShuffle{.factor = 2}, {{{2, 12, 5, 3}}});
  check(op::Resize{.sizes = {9, 4}, .mode = ResizeMode::linear}, {{{2, 3, 5, 3}}});
  check(op::Cast{.dtype = DType::f32}, {{{3, 2}, DType::i64}});
  check(op::Cast{.dtype = DType::i64}, {{{3, 2}}}, {}, 0);
  check(op::TopK{.k = 2}, {{{3, 7}}}, {}, 0);
  check(op::ArgMax{.axis = 1}, {{{3, 7}}}, {}, 0);
  check(op::CumulativeSum{.axis = 1}, {{{3, 7}}});
  check(op::Triangle{}, {{{5, 4}}});
  check(op::Where{}, {{{2, 3}, DType::boolean}, {{2, 3}}, {{1}}}, {}, 0.02);
}

// Operands of every kind: reals that cross zero, small whole numbers, truth values.
TEST(PlanOperators, OtherPairs) {
  const auto pairs = [](const Shape& a, const Shape& b, DType dtype, BinaryKind first,
                        BinaryKind last) {
    for (int k = static_cast<int>(first); k <= static_cast<int>(last); ++k) {
      const auto kind = static_cast<BinaryKind>(k);
      const bool zeros = kind == BinaryKind::divide || kind == BinaryKind::floor_divide ||
                         kind == BinaryKind::remainder || kind == BinaryKind::power;
      GraphBuilder g;
      const ValueId x = g.input("x", dtype, a);
      ValueId y = g.input("y", dtype, b);
      ValueId base = x;
      if (zeros) {  // divisors and bases are positive
        y = g.add(op::Unary{{UnaryKind::exp}}, {y});
        if (kind == BinaryKind::power) base = g.add(op::Unary{{UnaryKind::exp}}, {x});
      }
      g.output("z", g.add(op::Binary{kind}, {base, y}));
      const Graph graph = g.finish();
      EXPECT_LE(plan_error(graph), kFp32) << to_text(graph) << kernels_of(graph);
      EXPECT_EQ(kernels_of(graph).find("interpreter"), std::string::npos) << kernels_of(graph);
    }
  };
  for (const auto& [a, b] : {std::pair<Shape, Shape>{{3, 4, 5}, {3, 4, 5}},
                             {{3, 1, 5}, {4, 1}},
                             {{1}, {2, 7}},
                             {{2, 1, 3, 1}, {5, 1, 4}}}) {
    pairs(a, b, DType::f32, BinaryKind::add, BinaryKind::greater_equal);
    pairs(a, b, DType::f32, BinaryKind::floor_divide, BinaryKind::remainder);
    for (const DType whole : {DType::i64, DType::i32, DType::u8})
      for (const BinaryKind kind :
           {BinaryKind::add, BinaryKind::multiply, BinaryKind::minimum, BinaryKind::maximum,
            BinaryKind::equal, BinaryKind::less, BinaryKind::greater_equal})
        pairs(a, b, whole, kind, kind);
    for (const BinaryKind kind : {BinaryKind::logical_and, BinaryKind::logical_or,
                                  BinaryKind::equal, BinaryKind::not_equal})
      pairs(a, b, DType::boolean, kind, kind);
  }
}

// Whole numbers of both signs: quotients are cut, or rounded down, as PyTorch does.
TEST(PlanOperators, WholeQuotients) {
  for (const DType dtype : {DType::i64, DType::i32, DType::i8})
    for (const BinaryKind kind :
         {BinaryKind::divide, BinaryKind::floor_divide, BinaryKind::remainder, BinaryKind::power}) {
      Numbers a{{dtype, {11, 1}}, {}}, b{{dtype, {6}}, {-3, -2, -1, 1, 2, 3}};
      for (int i = -5; i <= 5; ++i) a.data.push_back(i);
      if (kind == BinaryKind::power) b.data = {0, 1, 2, 3, 2, 1};  // 125 fits eight bits
      GraphBuilder g;
      const ValueId x = g.input("x", dtype, a.type.shape), y = g.input("y", dtype, b.type.shape);
      g.output("z", g.add(op::Binary{kind}, {x, y}));
      const Graph graph = g.finish();
      Session session(std::make_shared<const Plan>(graph));
      const std::vector<Numbers> inputs{a, b};
      EXPECT_EQ(relative_error(interpret(graph, inputs)[0], run_plan(session, inputs)[0]), 0)
          << to_text(graph);
    }
}

TEST(PlanOperators, FunctionsOfWholeNumbers) {
  for (const DType dtype : {DType::i64, DType::i32, DType::i8, DType::u8})
    for (const UnaryKind kind : {UnaryKind::relu, UnaryKind::clamp, UnaryKind::square,
                                 UnaryKind::negate, UnaryKind::absolute, UnaryKind::sign})
      if (dtype != DType::u8 || kind != UnaryKind::negate)  // has no negative numbers
        check(op::Unary{{kind, 1, 3}}, {{{5, 7}, dtype}}, {}, 0);
  check(op::Unary{{UnaryKind::logical_not}}, {{{5, 7}, DType::boolean}}, {}, 0);
}

TEST(PlanOperators, Choices) {
  for (const DType dtype : {DType::f32, DType::i64, DType::i32, DType::u8})
    check(op::Where{}, {{{3, 1}, DType::boolean}, {{4}, dtype}, {{2, 1, 1}, dtype}}, {}, 0);
  check(op::Where{}, {{{2, 5, 7}, DType::boolean}, {{2, 5, 7}}, {{7}}});
}

TEST(PlanOperators, Casts) {
  for (const DType to : {DType::i64, DType::i32, DType::u8, DType::boolean, DType::f32}) {
    check(op::Cast{.dtype = to}, {{{3, 5}, DType::i64}}, {}, 0);
    check(op::Cast{.dtype = to}, {{{3, 5}, DType::boolean}}, {}, 0);
    GraphBuilder g;  // reals beyond one, of both signs
    const ValueId x = g.input("x", DType::f32, {4, 9});
    const ValueId by = g.constant("by", {}, std::vector<float>{300});
    g.output("y", g.add(op::Cast{.dtype = to}, {g.add(op::Binary{BinaryKind::multiply}, {x, by})}));
    const Graph graph = g.finish();
    EXPECT_LE(plan_error(graph), to == DType::f32 ? 1e-6 : 0) << to_text(graph);
    EXPECT_EQ(kernels_of(graph).find("interpreter"), std::string::npos) << kernels_of(graph);
  }
}

TEST(PlanOperators, Resizes) {
  for (const ResizeMode mode : {ResizeMode::nearest, ResizeMode::linear, ResizeMode::cubic})
    for (const bool corners : {false, true}) {
      if (corners && mode == ResizeMode::nearest) continue;
      for (const Shape& to : {Shape{9, 4}, Shape{2, 7}, Shape{5, 6}, Shape{1, 1}, Shape{10, 6}})
        check(op::Resize{to, mode, corners}, {{{2, 18, 5, 3}}});
      check(op::Resize{{7}, mode, corners}, {{{2, 3, 5}}});
      check(op::Resize{{3, 5, 4}, mode, corners}, {{{1, 3, 4, 2, 5}}});
    }
}

TEST(PlanOperators, MirroredPads) {
  for (const PadMode mode : {PadMode::reflect, PadMode::replicate}) {
    check(op::Pad{.padding = {0, 0, 1, 2, 0, 0, 3, 1}, .mode = mode}, {{{2, 18, 5, 4}}});
    check(op::Pad{.padding = {0, 2, 0, 1}, .mode = mode}, {{{3, 5}}});
  }
}

// Windows that hang over the end, cells of unequal sizes.
TEST(PlanOperators, OddPools) {
  for (const PoolKind kind : {PoolKind::max, PoolKind::average}) {
    for (const bool counted : {false, true})
      check(op::Pool{.kind = kind,
                     .kernel = {3, 3},
                     .stride = {2, 3},
                     .padding = {1, 1, 1, 1},
                     .ceil = true,
                     .count_padding = counted},
            {{{2, 18, 8, 9}}});
    check(op::AdaptivePool{.kind = kind, .sizes = {3, 5}}, {{{2, 18, 7, 4}}});
    check(op::AdaptivePool{.kind = kind, .sizes = {2}}, {{{2, 3, 7}}});
  }
}

TEST(PlanOperators, ReductionsOfAnything) {
  for (const ReduceKind kind :
       {ReduceKind::sum, ReduceKind::prod, ReduceKind::max, ReduceKind::min})
    for (const DType dtype : {DType::f32, DType::i64, DType::i32}) {
      check(op::Reduce{kind, {0, 2}, true}, {{{2, 3, 4}, dtype}}, {}, 0);
      check(op::Reduce{kind, {1, 3}}, {{{2, 3, 4, 2}, dtype}}, {}, 0);
      check(op::Reduce{kind, {}}, {{{2, 3}, dtype}}, {}, 0);
    }
  check(op::Reduce{ReduceKind::variance, {0, 2}, false, true}, {{{3, 4, 5}}});
}

TEST(PlanOperators, AlongALine) {
  for (const DType dtype : {DType::f32, DType::i64, DType::i32})
    for (const int64_t axis : {0, 1, 2}) {
      check(op::CumulativeSum{.axis = axis}, {{{4, 5, 6}, dtype}}, {}, 0);
      check(op::ArgMax{.axis = axis}, {{{4, 5, 6}, dtype}}, {}, 0);
      check(op::ArgMax{.axis = axis, .keep = true}, {{{4, 5, 6}, dtype}}, {}, 0);
      for (const bool largest : {false, true})  // whole numbers have equals, which keep their order
        check(op::TopK{.k = 3, .axis = axis, .largest = largest}, {{{4, 5, 6}, dtype}}, {}, 0);
    }
}

TEST(PlanOperators, MadeFromNothing) {
  for (const DType dtype : {DType::f32, DType::i64, DType::boolean}) {
    GraphBuilder g;
    const ValueId fill = g.add(op::Fill{.sizes = {2, 3}, .value = 1, .dtype = dtype}, {});
    g.output("y", fill);
    if (dtype != DType::boolean)
      g.output("z", g.add(op::Arange{.start = 2, .end = 6, .dtype = dtype}, {}));
    g.input("unused", DType::f32, {1});
    const Graph graph = g.finish();
    EXPECT_EQ(plan_error(graph), 0) << to_text(graph);
    EXPECT_EQ(kernels_of(graph).find("interpreter"), std::string::npos) << kernels_of(graph);
  }
  for (const bool upper : {false, true})
    for (const int64_t diagonal : {-7, -2, -1, 0, 1, 3, 9})
      check(op::Triangle{upper, diagonal}, {{{2, 4, 5}}});
}

TEST(PlanOperators, Attention) {
  for (const bool causal : {false, true})
    for (const int64_t width : {8, 24, 64, 72})
      for (const auto& [queries, keys] :
           {std::pair<int64_t, int64_t>{1, 1}, {7, 9}, {65, 130}, {211, 197}}) {
        const op::Attention o{.scale = 0.3, .causal = causal};
        check(o, {{{2, 4, queries, width}}, {{2, 2, keys, width}}, {{2, 2, keys, width}}});
        check(o, {{{1, 2, queries, width}},
                  {{1, 2, keys, width}},
                  {{1, 2, keys, width}},
                  {{queries, keys}}});
      }
}

// As in transformers: heads are read from the products' rows and written side by side, without
// steps that move them.
TEST(PlanOperators, AttentionBetweenProducts) {
  constexpr int64_t kTokens = 70, kHeads = 3, kWidth = 20, kAll = kHeads * kWidth;
  for (const bool together : {false, true}) {
    GraphBuilder b;
    const ValueId x = b.input("x", DType::f32, {2, kTokens, 24});
    ValueId parts[3] = {}, all = kNoValue;
    if (together) all = b.add(op::Linear{}, {x, random_constant(b, {3 * kAll, 24}, 1)});
    for (int64_t i = 0; i < 3; ++i) {
      const ValueId rows =
          together ? b.add(op::Slice{.axis = 2, .start = i * kAll, .end = (i + 1) * kAll}, {all})
                   : b.add(op::Linear{},
                           {x, random_constant(b, {kAll, 24}, 10 + static_cast<uint64_t>(i))});
      const ValueId heads = b.add(op::Reshape{{2, kTokens, kHeads, kWidth}}, {rows});
      parts[i] = b.add(op::Transpose{{0, 2, 1, 3}}, {heads});
    }
    const ValueId mixed = b.add(op::Attention{.scale = 0.3}, {parts[0], parts[1], parts[2]});
    const ValueId rows = b.add(op::Transpose{{0, 2, 1, 3}}, {mixed});
    b.output("y", b.add(op::Linear{}, {b.add(op::Reshape{{2, kTokens, kAll}}, {rows}),
                                       random_constant(b, {8, kAll}, 20)}));
    const Graph graph = b.finish();
    EXPECT_LE(plan_error(graph), kFp32) << kernels_of(graph);
    EXPECT_LE(plan_error(graph, {.dtype = PlanDType::bf16}), 0.02);
    EXPECT_EQ(kernels_of(graph).find("strided copy"), std::string::npos) << kernels_of(graph);
  }
}

// A product that something else writes over is copied as before.
TEST(PlanOperators, AttentionBesideOtherReaders) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {1, 9, 24});
  const ValueId rows = b.add(op::Linear{}, {x, random_constant(b, {16, 24}, 1)});
  const ValueId heads =
      b.add(op::Transpose{{0, 2, 1, 3}}, {b.add(op::Reshape{{1, 9, 2, 8}}, {rows})});
  b.output("z", b.add(op::Unary{{UnaryKind::exp}}, {rows}));
  b.output("y", b.add(op::Attention{}, {heads, heads, heads}));
  const Graph graph = b.finish();
  EXPECT_LE(plan_error(graph), kFp32) << kernels_of(graph);
}

TEST(PlanOperators, AttentionOfLargeScores) {
  GraphBuilder b;
  const ValueId q = b.input("q", DType::f32, {1, 1, 20, 16}),
                k = b.input("k", DType::f32, {1, 1, 90, 16}),
                v = b.input("v", DType::f32, {1, 1, 90, 16});
  b.output("y", b.add(op::Attention{.scale = 500}, {q, k, v}));
  EXPECT_LE(plan_error(b.finish()), 1e-3);  // scores of 1,000 keep 4 digits behind the point
}

}  // namespace
}  // namespace residua
