// The interpreter against numbers worked out by hand and against closed forms.
#include "residua/graph/interpreter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "residua/core/error.h"

namespace residua {
namespace {

Numbers numbers(Shape shape, std::vector<double> data, DType dtype = DType::f32) {
  return {{dtype, std::move(shape)}, std::move(data)};
}

// 0, 1, 2, ... in a shape.
Numbers counting(Shape shape, double first = 0) {
  Numbers result{{DType::f32, shape}, {}};
  result.data.resize(static_cast<size_t>(checked_numel(shape, "test")));
  std::iota(result.data.begin(), result.data.end(), first);
  return result;
}

std::vector<Numbers> run_all(const Operation& operation, const std::vector<Numbers>& inputs) {
  std::vector<const Numbers*> pointers;
  for (const Numbers& input : inputs)
    pointers.push_back(input.type.shape == Shape{-1} ? nullptr : &input);
  return interpret(operation, pointers);
}

const Numbers kMissing{{DType::f32, {-1}}, {}};

std::vector<double> run(const Operation& operation, const std::vector<Numbers>& inputs) {
  return run_all(operation, inputs)[0].data;
}

using List = std::vector<double>;

void expect_near(const List& actual, const List& expected, double tolerance = 1e-14) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i)
    EXPECT_NEAR(actual[i], expected[i], tolerance * (1 + std::abs(expected[i]))) << i;
}

TEST(Interpreter, Convolution) {
  const Numbers x = counting({1, 1, 3, 3}), w = numbers({1, 1, 2, 2}, {1, 2, 3, 4});
  EXPECT_EQ(run(op::Conv{}, {x, w}), (List{27, 37, 57, 67}));
  EXPECT_EQ(run(op::Conv{.stride = {2, 2}, .padding = {1, 1, 0, 0}}, {x, w, numbers({1}, {10})}),
            (List{10, 10 + 3 * 1 + 4 * 2, 10 + 2 * 3 + 4 * 6, 77}));
  EXPECT_EQ(run(op::Conv{.dilation = {2, 2}}, {x, w}), (List{2 * 2 + 3 * 6 + 4 * 8}));
  // Each group sees its own half of the channels; the summand comes before the activation.
  const op::Conv grouped{.groups = 2, .activation = {UnaryKind::relu}};
  EXPECT_EQ(run(grouped, {numbers({1, 2, 1, 2}, {1, 2, 3, 4}), numbers({2, 1, 1, 1}, {2, -1}),
                          numbers({2}, {1, 1}), numbers({1, 2, 1, 2}, {-4, 0, 5, -5})}),
            (List{0, 5, 3, 0}));
  const op::Conv one_axis{.stride = {2}, .padding = {1, 1}, .dilation = {1}};
  EXPECT_EQ(run(one_axis, {numbers({1, 1, 4}, {1, 2, 3, 4}), numbers({1, 1, 3}, {1, 10, 100})}),
            (List{210, 432}));
  const op::Conv three_axes{
      .stride = {1, 1, 1}, .padding = {0, 0, 0, 0, 0, 0}, .dilation = {1, 1, 1}};
  EXPECT_EQ(run(three_axes, {counting({1, 1, 2, 2, 2}), counting({1, 1, 2, 2, 2})}), (List{140}));
}

TEST(Interpreter, TransposedConvolutionIsTheAdjoint) {
  EXPECT_EQ(run(op::ConvTranspose{.stride = {2, 2}},
                {numbers({1, 1, 1, 2}, {1, 2}), numbers({1, 1, 2, 3}, {1, 2, 3, 4, 5, 6})}),
            (List{1, 2, 5, 4, 6, 4, 5, 14, 10, 12}));
  // <conv(x), y> = <x, conv_transpose(y)>, with one weight read both ways.
  const op::Conv conv{.stride = {2, 3}, .padding = {1, 0, 2, 1}, .dilation = {2, 1}, .groups = 2};
  const op::ConvTranspose adjoint{.stride = conv.stride,
                                  .padding = conv.padding,
                                  .output_padding = {0, 1},
                                  .dilation = conv.dilation,
                                  .groups = 2};
  Numbers x = counting({2, 4, 8, 9}), w = counting({6, 2, 3, 3});
  for (size_t i = 0; i < x.data.size(); ++i) x.data[i] = std::sin(1.7 * static_cast<double>(i));
  for (size_t i = 0; i < w.data.size(); ++i) w.data[i] = std::cos(2.3 * static_cast<double>(i));
  const Numbers cx = run_all(conv, {x, w})[0];
  Numbers y = cx;
  for (size_t i = 0; i < y.data.size(); ++i) y.data[i] = std::sin(0.9 * static_cast<double>(i));
  const Numbers ay = run_all(adjoint, {y, w})[0];
  ASSERT_EQ(ay.type.shape, x.type.shape);
  const double left = std::inner_product(cx.data.begin(), cx.data.end(), y.data.begin(), 0.0);
  const double right = std::inner_product(x.data.begin(), x.data.end(), ay.data.begin(), 0.0);
  EXPECT_NEAR(left, right, 1e-11);
}

TEST(Interpreter, Products) {
  const Numbers a = counting({2, 3}, 1), b = counting({3, 2}, 1);
  EXPECT_EQ(run(op::MatMul{}, {a, b}), (List{22, 28, 49, 64}));
  EXPECT_EQ(run(op::MatMul{.transpose_b = true, .scale = 2}, {a, a}), (List{28, 64, 64, 154}));
  EXPECT_EQ(run(op::MatMul{.transpose_a = true}, {a, a}),
            (List{17, 22, 27, 22, 29, 36, 27, 36, 45}));
  // Leading axes broadcast: [2, 1, 1, 2] by [2, 2, 1].
  EXPECT_EQ(run(op::MatMul{},
                {numbers({2, 1, 1, 2}, {1, 2, 3, 4}), numbers({2, 2, 1}, {1, 10, 100, 1000})}),
            (List{21, 2100, 43, 4300}));
  EXPECT_EQ(run(op::Linear{.activation = {UnaryKind::relu}},
                {a, numbers({2, 3}, {1, 0, -1, 0, 1, 0}), numbers({2}, {1, -3})}),
            (List{0, 0, 0, 2}));
}

TEST(Interpreter, Attention) {
  // Scores ln 1 and ln 3 give weights 1/4 and 3/4.
  const Numbers q = numbers({1, 1, 1, 1}, {std::log(3.0)}), k = numbers({1, 1, 2, 1}, {0, 1});
  const Numbers v = numbers({1, 1, 2, 2}, {4, 0, 0, 8});
  expect_near(run(op::Attention{}, {q, k, v}), {1, 6});
  expect_near(run(op::Attention{.scale = 2}, {q, k, v}), {0.4, 7.2});
  expect_near(run(op::Attention{}, {q, k, v, numbers({2}, {std::log(3.0), 0})}), {2, 4});
  // Without scores a causal query averages what it sees; two queries on three keys.
  const Numbers zero = numbers({1, 2, 2, 1}, {0, 0, 0, 0});
  expect_near(run(op::Attention{.causal = true},
                  {zero, numbers({1, 1, 3, 1}, {5, 6, 7}), numbers({1, 1, 3, 1}, {3, 5, 10})}),
              {4, 6, 4, 6});
}

TEST(Interpreter, Norms) {
  expect_near(run(op::BatchNorm{.eps = 0},
                  {numbers({1, 2, 2}, {1, 3, 5, 9}), numbers({2}, {1, 5}), numbers({2}, {4, 16}),
                   numbers({2}, {1, 2}), numbers({2}, {0, 1})}),
              {0, 1, 1, 3});
  expect_near(run(op::LayerNorm{.eps = 0},
                  {numbers({2, 2}, {1, 3, 10, 20}), numbers({2}, {1, 2}), numbers({2}, {0, 5})}),
              {-1, 7, -1, 7});
  expect_near(run(op::LayerNorm{.eps = 0, .rms = true}, {numbers({2}, {3, -3})}), {1, -1});
  expect_near(run(op::LayerNorm{.axes = 2, .eps = 3}, {numbers({1, 2, 2}, {1, 1, 3, 3})}),
              {-0.5, -0.5, 0.5, 0.5});
  expect_near(run(op::GroupNorm{.groups = 2, .eps = 0},
                  {numbers({1, 4, 1}, {1, 3, 4, 8}), numbers({4}, {1, 2, 1, 2}), kMissing}),
              {-1, 2, -1, 2});
}

TEST(Interpreter, Pools) {
  const Numbers x = counting({1, 1, 3, 3}, 1);
  EXPECT_EQ(run(op::Pool{.stride = {1, 1}}, {x}), (List{5, 6, 8, 9}));
  EXPECT_EQ(run(op::Pool{.padding = {1, 1, 0, 0}}, {x}), (List{1, 3, 7, 9}));
  EXPECT_EQ(run(op::Pool{.kind = PoolKind::average, .padding = {1, 1, 0, 0}}, {x}),
            (List{0.25, 1.25, 2.75, 7}));
  EXPECT_EQ(
      run(op::Pool{.kind = PoolKind::average, .padding = {1, 1, 0, 0}, .count_padding = false},
          {x}),
      (List{1, 2.5, 5.5, 7}));
  // Windows that hang over the end count only what is there.
  EXPECT_EQ(run(op::Pool{.kind = PoolKind::average, .ceil = true}, {x}), (List{3, 4.5, 7.5, 9}));
  EXPECT_EQ(run(op::Pool{.stride = {1, 1}, .dilation = {2, 2}}, {x}), (List{9}));
  const Numbers negative = numbers({1, 1, 1, 1}, {-5});
  EXPECT_EQ(run(op::Pool{.padding = {1, 1, 1, 1}}, {negative}), (List{-5}));
  // Cells of five places in three: [0, 2), [1, 4), [3, 5).
  EXPECT_EQ(run(op::AdaptivePool{.sizes = {3}}, {numbers({1, 1, 5}, {1, 2, 3, 4, 5})}),
            (List{1.5, 3, 4.5}));
  EXPECT_EQ(run(op::AdaptivePool{.kind = PoolKind::max, .sizes = {1, 2}}, {x}), (List{8, 9}));
}

TEST(Interpreter, Reductions) {
  const Numbers x = numbers({2, 3}, {1, 2, 3, 4, 5, 9});
  EXPECT_EQ(run(op::Reduce{}, {x}), (List{24}));
  EXPECT_EQ(run(op::Reduce{.axes = {0}}, {x}), (List{5, 7, 12}));
  EXPECT_EQ(run(op::Reduce{.kind = ReduceKind::mean, .axes = {-1}, .keep = true}, {x}),
            (List{2, 6}));
  EXPECT_EQ(run(op::Reduce{.kind = ReduceKind::max, .axes = {0}}, {x}), (List{4, 5, 9}));
  EXPECT_EQ(run(op::Reduce{.kind = ReduceKind::min, .axes = {1}}, {x}), (List{1, 4}));
  EXPECT_EQ(run(op::Reduce{.kind = ReduceKind::prod, .axes = {1}}, {x}), (List{6, 180}));
  EXPECT_EQ(run(op::Reduce{.kind = ReduceKind::l2}, {numbers({2}, {3, 4})}), (List{5}));
  expect_near(run(op::Reduce{.kind = ReduceKind::variance, .axes = {1}}, {x}), {2.0 / 3, 14.0 / 3});
  expect_near(run(op::Reduce{.kind = ReduceKind::variance, .axes = {1}, .unbiased = true}, {x}),
              {1, 7});
  EXPECT_EQ(run(op::CumulativeSum{.axis = 0}, {x}), (List{1, 2, 3, 5, 7, 12}));
  EXPECT_EQ(run(op::ArgMax{.axis = 1}, {numbers({2, 3}, {1, 7, 7, 4, 0, -1})}), (List{1, 0}));
  const auto top = run_all(op::TopK{.k = 2, .axis = 0}, {numbers({3, 2}, {1, 9, 3, 7, 2, 8})});
  EXPECT_EQ(top[0].data, (List{3, 9, 2, 8}));
  EXPECT_EQ(top[1].data, (List{1, 0, 2, 2}));
  EXPECT_EQ(run(op::TopK{.k = 2, .largest = false}, {numbers({3}, {5, 1, 4})}), (List{1, 4}));
  expect_near(run(op::Softmax{}, {numbers({2, 2}, {0, std::log(3.0), 1000, 1000})}),
              {0.25, 0.75, 0.5, 0.5});
  expect_near(run(op::Softmax{.axis = 0, .log = true}, {numbers({2, 1}, {0, std::log(3.0)})}),
              {std::log(0.25), std::log(0.75)});
}

TEST(Interpreter, FunctionsOfOneNumber) {
  struct Case {
    op::Activation f;
    double x, expected;
  };
  const double e = std::exp(1.0);
  const Case cases[] = {{{UnaryKind::relu}, -2, 0},
                        {{UnaryKind::leaky_relu, 0.1}, -2, -0.2},
                        {{UnaryKind::elu, 2}, -1, 2 * (1 / e - 1)},
                        // PyTorch 1.13: selu(-1), gelu(1) and mish(1) in double
                        {{UnaryKind::selu}, -1, -1.1113307378125625},
                        {{UnaryKind::gelu}, 1, 0.8413447460685429},
                        {{UnaryKind::gelu_tanh}, 1, 0.8411919906082768},
                        {{UnaryKind::mish}, 1, 0.8650983882673103},
                        {{UnaryKind::silu}, std::log(3.0), 0.75 * std::log(3.0)},
                        {{UnaryKind::sigmoid}, std::log(3.0), 0.75},
                        {{UnaryKind::hard_sigmoid}, 1.5, 0.75},
                        {{UnaryKind::hard_swish}, -1, -1.0 / 3},
                        {{UnaryKind::softplus, 0, 1}, std::log(3.0), std::log(4.0)},
                        {{UnaryKind::softplus, 0, 2}, std::log(3.0) / 2, std::log(4.0) / 2},
                        {{UnaryKind::softplus, 0, 1}, 800, 800},
                        {{UnaryKind::clamp, 0, 6}, 7, 6},
                        {{UnaryKind::clamp, 0, 6}, -1, 0},
                        {{UnaryKind::rsqrt}, 4, 0.5},
                        {{UnaryKind::reciprocal}, 4, 0.25},
                        {{UnaryKind::round}, 2.5, 2},
                        {{UnaryKind::sign}, -3, -1},
                        {{UnaryKind::log1p}, e - 1, 1},
                        {{UnaryKind::erf}, 0.5, 0.5204998778130465},
                        {{UnaryKind::logical_not}, 0, 1}};
  for (const Case& c : cases)
    EXPECT_NEAR(interpret(c.f, c.x), c.expected, 1e-14 * (1 + std::abs(c.expected)))
        << EnumNames<UnaryKind>::names[static_cast<size_t>(c.f.kind)];
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(interpret({UnaryKind::relu}, nan)));
  EXPECT_TRUE(std::isnan(interpret({UnaryKind::clamp, 0, 6}, nan)));
}

TEST(Interpreter, FunctionsOfTwoNumbers) {
  const auto of = [](BinaryKind kind, double a, double b, DType dtype = DType::f32) {
    return run(op::Binary{.kind = kind}, {numbers({}, {a}, dtype), numbers({}, {b}, dtype)})[0];
  };
  EXPECT_EQ(of(BinaryKind::divide, -7, 2), -3.5);
  EXPECT_EQ(of(BinaryKind::divide, -7, 2, DType::i64), -3);
  EXPECT_EQ(of(BinaryKind::floor_divide, -7, 2, DType::i64), -4);
  EXPECT_EQ(of(BinaryKind::remainder, -7, 4), 1);
  EXPECT_EQ(of(BinaryKind::remainder, 7, -4), -1);
  EXPECT_EQ(of(BinaryKind::power, 3, 4), 81);
  EXPECT_EQ(of(BinaryKind::less, 3, 4), 1);
  EXPECT_EQ(of(BinaryKind::minimum, 3, 4), 3);
  EXPECT_TRUE(std::isnan(of(BinaryKind::maximum, 3, std::nan(""))));
  EXPECT_EQ(run(op::Binary{.kind = BinaryKind::subtract, .activation = {UnaryKind::relu}},
                {numbers({2, 1}, {1, 5}), numbers({3}, {0, 2, 4})}),
            (List{1, 0, 0, 5, 3, 1}));
  EXPECT_EQ(run(op::Where{},
                {numbers({2, 1}, {0, 1}, DType::boolean), numbers({2}, {1, 2}), numbers({}, {9})}),
            (List{9, 9, 1, 2}));
}

TEST(Interpreter, Layout) {
  const Numbers x = counting({2, 3});
  EXPECT_EQ(run(op::Transpose{.order = {1, 0}}, {x}), (List{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(run(op::Transpose{.order = {2, 0, 1}}, {counting({1, 2, 3})}),
            (List{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(run(op::Expand{.sizes = {2, -1, 2}}, {numbers({2, 1}, {1, 2})}),
            (List{1, 1, 2, 2, 1, 1, 2, 2}));
  EXPECT_EQ(run(op::Concat{.axis = 1}, {x, numbers({2, 1}, {8, 9})}),
            (List{0, 1, 2, 8, 3, 4, 5, 9}));
  EXPECT_EQ(run(op::Slice{.axis = 1, .start = -3, .step = 2}, {x}), (List{0, 2, 3, 5}));
  EXPECT_EQ(run(op::Pad{.padding = {0, 1, 1, 0}, .value = 7}, {x}),
            (List{7, 0, 1, 2, 7, 3, 4, 5, 7, 7, 7, 7}));
  const Numbers row = numbers({3}, {1, 2, 3});
  EXPECT_EQ(run(op::Pad{.padding = {2, 2}, .mode = PadMode::reflect}, {row}),
            (List{3, 2, 1, 2, 3, 2, 1}));
  EXPECT_EQ(run(op::Pad{.padding = {1, 2}, .mode = PadMode::replicate}, {row}),
            (List{1, 1, 2, 3, 3, 3}));
  EXPECT_EQ(run(op::Gather{.axis = 1}, {x, numbers({2, 2}, {2, 0, -1, 1}, DType::i64)}),
            (List{2, 0, 2, 1, 5, 3, 5, 4}));
  EXPECT_THROW(run(op::Gather{}, {x, numbers({}, {2}, DType::i64)}), Error);
  EXPECT_EQ(run(op::Triangle{}, {counting({2, 3}, 1)}), (List{1, 0, 0, 4, 5, 0}));
  EXPECT_EQ(run(op::Triangle{.upper = true, .diagonal = 1}, {counting({2, 3}, 1)}),
            (List{0, 2, 3, 0, 0, 6}));
  EXPECT_EQ(run(op::Arange{.start = 2, .end = 5}, {}), (List{2, 3, 4}));
  EXPECT_EQ(run(op::Fill{.sizes = {2}, .value = 3}, {}), (List{3, 3}));
  EXPECT_EQ(run(op::PixelShuffle{}, {counting({1, 4, 1, 2})}), (List{0, 2, 1, 3, 4, 6, 5, 7}));
  EXPECT_EQ(run(op::Cast{.dtype = DType::u8}, {numbers({4}, {-1, 2.9, 300, 7})}),
            (List{0, 2, 255, 7}));
}

TEST(Interpreter, Resize) {
  const Numbers x = numbers({1, 1, 4}, {0, 1, 4, 9});
  const auto to = [&](int64_t m, ResizeMode mode, bool align = false) {
    return run(op::Resize{.sizes = {m}, .mode = mode, .align_corners = align}, {x});
  };
  EXPECT_EQ(to(6, ResizeMode::nearest), (List{0, 0, 1, 4, 4, 9}));
  EXPECT_EQ(to(8, ResizeMode::linear), (List{0, 0.25, 0.75, 1.75, 3.25, 5.25, 7.75, 9}));
  EXPECT_EQ(to(7, ResizeMode::linear, true), (List{0, 0.5, 1, 2.5, 4, 6.5, 9}));
  EXPECT_EQ(to(1, ResizeMode::linear, true), (List{0}));
  // Half way between the middle places Keys' kernel weighs -0.09375, 0.59375 twice each.
  expect_near(to(2, ResizeMode::cubic), {-0.09375 * 0 + 0.59375 * 0 + 0.59375 * 1 - 0.09375 * 4,
                                         -0.09375 * 1 + 0.59375 * 4 + 0.59375 * 9 - 0.09375 * 9});
  EXPECT_EQ(run(op::Resize{.sizes = {1, 4}, .mode = ResizeMode::linear},
                {numbers({1, 1, 2, 2}, {0, 4, 8, 12})}),
            (List{4, 5, 7, 8}));
}

TEST(Interpreter, Quantisation) {
  const Numbers x = numbers({2, 2}, {0.5, 1.5, -1, 300});
  EXPECT_EQ(run(op::Quantize{}, {x, numbers({}, {1}), numbers({}, {10}, DType::u8)}),
            (List{10, 12, 9, 255}));
  EXPECT_EQ(run(op::Quantize{.dtype = DType::i8, .axis = 0}, {x, numbers({2}, {0.5, 2})}),
            (List{1, 3, 0, 127}));
  EXPECT_EQ(
      run(op::Dequantize{.axis = 0}, {numbers({2, 2}, {0, 1, 2, 255}, DType::u8),
                                      numbers({2}, {2, 0.5}), numbers({2}, {1, 5}, DType::u8)}),
      (List{-2, 0, -1.5, 125}));
}

TEST(Interpreter, FusedBlocksAreTheirThreeConvolutions) {
  // One channel, widened to two; the grouped convolution copies the left neighbour.
  const Numbers x = numbers({1, 1, 1, 3}, {1, -2, 3});
  const Numbers expand = numbers({2, 1, 1, 1}, {1, -1}), project = numbers({1, 2, 1, 1}, {1, 10});
  Numbers shift = numbers({2, 1, 3, 3}, List(18, 0));
  shift.data[3] = shift.data[12] = 1;
  const Numbers none = numbers({2}, {0, 0}), one = numbers({1}, {1});
  const op::FusedBlock block{.residual = true, .groups = 2, .activation = {UnaryKind::relu}};
  EXPECT_EQ(run(block, {x, expand, none, shift, none, project, one}), (List{2, 0, 24}));
  Numbers shift1 = numbers({1, 1, 3, 3}, {0, 0, 0, 1, 0, 0, 0, 0, 0});
  const op::FusedBlock first{.conv_first = true, .activation = {UnaryKind::relu}};
  EXPECT_EQ(run(first, {x, shift1, numbers({1}, {0}), expand, none, project, one}),
            (List{1, 2, 21}));
}

TEST(Interpreter, RunsGraphsAndShowsWhatTheyWrite) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {2});
  const ValueId two = b.constant("two", {1}, {2});
  const ValueId y = b.add(op::Binary{.kind = BinaryKind::multiply}, {x, two});
  b.output("sum", b.add(op::Binary{}, {y, x}));
  b.output("x again", x);
  const Graph graph = b.finish();
  const std::vector<Numbers> inputs{numbers({2}, {1, 5})};
  std::vector<ValueId> seen;
  const auto outputs = interpret(
      graph, inputs, {.observe = [&](ValueId id, const Numbers&) { seen.push_back(id); }});
  ASSERT_EQ(outputs.size(), 2u);
  EXPECT_EQ(outputs[0].data, (List{3, 15}));
  EXPECT_EQ(outputs[1].data, (List{1, 5}));
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_THROW(interpret(graph, {}), Error);
  EXPECT_THROW(interpret(graph, std::vector<Numbers>{numbers({3}, {1, 2, 3})}), Error);
  EXPECT_THROW(interpret(graph, inputs, {.max_elements = 1}), Error);
}

TEST(Numbers, SurviveTheirElementTypes) {
  const List values{0, 1, -2, 0.5, 1.0 / 3, 65504, 1e-7, -100};
  const auto through = [&](DType dtype) {
    const Numbers n = numbers({8}, values, dtype);
    return read_numbers(n.type, write_numbers(n)).data;
  };
  EXPECT_EQ(through(DType::f64), values);
  EXPECT_EQ(through(DType::f32)[4], 1.0f / 3);
  EXPECT_EQ(through(DType::f16)[4], 0.333251953125);
  EXPECT_EQ(through(DType::f16)[5], 65504);
  EXPECT_EQ(through(DType::f16)[6], 2 * 0x1p-24);  // a subnormal
  EXPECT_EQ(through(DType::bf16)[4], 0.333984375);
  EXPECT_EQ(through(DType::i8), (List{0, 1, -2, 0, 0, 127, 0, -100}));
  EXPECT_EQ(through(DType::u16), (List{0, 1, 0, 0, 0, 65504, 0, 0}));
  EXPECT_EQ(through(DType::boolean), (List{0, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(to_nearest(1e30, DType::i64), 0x1p63);
  EXPECT_EQ(to_nearest(65520, DType::f16), std::numeric_limits<double>::infinity());
  EXPECT_EQ(to_nearest(2049, DType::f16), 2048);  // a tie goes to the even neighbour
  EXPECT_EQ(to_nearest(2051, DType::f16), 2052);
  const Numbers huge = numbers({1}, {1e30}, DType::i64);
  EXPECT_EQ(read_numbers(huge.type, write_numbers(huge)).data[0], 0x1p63);
}

}  // namespace
}  // namespace residua
