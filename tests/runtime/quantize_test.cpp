// Calibration, graphs with integers, and their plans.
#include "residua/runtime/quantize.h"

#include <gmock/gmock.h>

#include "residua/core/error.h"
#include "residua/runtime/compiled_model.h"
#include "tests/runtime/plan_check.h"

namespace residua {
namespace {

// Stem, max pool, two residual blocks (the second begins with negative numbers), linear head.
Graph integer_network(int64_t channels) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {2, 3, 12, 10});
  const op::Conv relu{.padding = {1, 1, 1, 1}, .activation = {UnaryKind::relu}};
  const op::Conv plain{.padding = {1, 1, 1, 1}};
  ValueId y = b.add(relu, {x, random_constant(b, {channels, 3, 3, 3}, 1)}, "stem");
  y = b.add(op::Pool{}, {y});
  for (uint64_t i = 0; i < 2; ++i) {
    const ValueId inner = b.add(relu,
                                {y, random_constant(b, {channels, channels, 3, 3}, 10 + i),
                                 random_constant(b, {channels}, 20 + i)},
                                "inner" + std::to_string(i));
    y = b.add(i == 0 ? plain : relu,
              {inner, random_constant(b, {channels, channels, 3, 3}, 30 + i), kNoValue, y},
              "outer" + std::to_string(i));
  }
  y = b.add(op::Reshape{.sizes = {2, -1}}, {b.add(op::AdaptivePool{}, {y})});
  b.output("scores", b.add(op::Linear{}, {y, random_constant(b, {7, channels}, 40)}, "head"));
  return b.finish();
}

std::vector<CalibrationSample> samples_of(const Graph& graph, int count) {
  std::vector<CalibrationSample> samples;
  for (int i = 0; i < count; ++i) {
    CalibrationSample sample;
    for (const Numbers& n : random_inputs(graph, 1000 + static_cast<uint64_t>(i))) {
      const ConstantData data = write_numbers(n);
      sample.push_back({{"x", n.type.dtype, n.type.shape}, data.owner, data.bytes});
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

// The mean over runs of the plan's difference from the graph of real numbers, relative to the
// largest output.
double integer_error(const Graph& graph, const QuantizeOptions& options) {
  const Graph integer = quantize(graph, samples_of(graph, 8), options);
  Session session(std::make_shared<const Plan>(integer));
  double error = 0;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const auto inputs = random_inputs(graph, 5000 + seed);
    error += relative_error(interpret(graph, inputs)[0], run_plan(session, inputs)[0]) / 4;
  }
  return error;
}

TEST(Quantize, PlanEqualsTheInterpreterOfTheSameGraph) {
  for (const int64_t channels : {16, 18}) {
    const Graph graph = integer_network(channels);
    const Graph integer = quantize(graph, samples_of(graph, 4));
    // A number that lies between two integers may be rounded to the other one: a step of 1 / 255.
    EXPECT_LE(plan_error(integer), 0.01) << kernels_of(integer);
    EXPECT_LE(plan_error(integer, {.dtype = PlanDType::bf16}), 0.03) << kernels_of(integer);
  }
}

TEST(Quantize, EveryProductAndTheResidualAdditionsAreInIntegers) {
  const Graph graph = integer_network(16);
  const std::string text = kernels_of(quantize(graph, samples_of(graph, 2)));
  EXPECT_EQ(text.find("interpreter"), std::string::npos) << text;
  size_t integer = 0;
  for (size_t at = 0; (at = text.find("] U8", at)) != std::string::npos; ++at) ++integer;
  for (size_t at = 0; (at = text.find("] I8", at)) != std::string::npos; ++at) ++integer;
  EXPECT_GE(integer, 6u) << text;  // input, stem, pool, two blocks; the last one's result is pooled
}

// A depthwise convolution between two 1x1, a residual sum, a concatenation of two branches: all of
// it is read as integers, and nothing is brought back to real numbers between.
TEST(Quantize, DepthwiseSumsAndConcatenationsStayIntegers) {
  GraphBuilder b;
  const op::Activation relu{UnaryKind::relu};
  const auto conv = [&](ValueId x, int64_t out, int64_t kernel, int64_t groups, uint64_t seed,
                        op::Activation after, ValueId summand = kNoValue) {
    const int64_t in = b.graph().shape(x)[1] / groups, pad = kernel / 2;
    std::vector<ValueId> inputs{x, random_constant(b, {out, in, kernel, kernel}, seed),
                                random_constant(b, {out}, seed + 1)};
    if (summand != kNoValue) inputs.push_back(summand);
    return b.add(op::Conv{.padding = {pad, pad, pad, pad}, .groups = groups, .activation = after},
                 inputs);
  };
  const ValueId x = b.input("x", DType::f32, {1, 3, 12, 10});
  const ValueId stem = conv(x, 16, 3, 1, 1, relu);
  ValueId y = conv(stem, 48, 1, 1, 10, relu);
  y = conv(y, 48, 3, 48, 20, relu);
  y = conv(y, 16, 1, 1, 30, relu, stem);
  const ValueId both =
      b.add(op::Concat{.axis = 1}, {conv(y, 16, 1, 1, 40, relu), conv(y, 32, 3, 1, 50, relu)});
  b.output("y", conv(both, 8, 1, 1, 60, {}));
  const Graph graph = b.finish();
  const Graph integer = quantize(graph, samples_of(graph, 4));
  EXPECT_LE(plan_error(integer), 0.01) << kernels_of(integer);
  const std::string text = kernels_of(integer);
  // Real numbers are the input and the last result only.
  size_t reals = 0;
  for (size_t at = 0; (at = text.find("F32", at)) != std::string::npos; ++at) ++reals;
  EXPECT_LE(reals, 2u) << text;
  EXPECT_NE(text.find("concat [copy of what is elsewhere] U8"), std::string::npos) << text;
}

// As in DenseNet: what a norm gives becomes integers in the norm's step.
TEST(Quantize, NormsGiveIntegers) {
  for (const int64_t channels : {16, 18}) {
    GraphBuilder b;
    const ValueId x = b.input("x", DType::f32, {2, channels, 5, 3});
    ValueId y = b.add(op::Unary{{UnaryKind::sin}}, {x});
    y = b.add(op::BatchNorm{},
              {y, random_constant(b, {channels}, 1),
               b.constant("variance", {channels},
                          std::vector<float>(static_cast<size_t>(channels), 0.5f))});
    y = b.add(op::Unary{{UnaryKind::relu}}, {y});
    b.output("y", b.add(op::Conv{}, {y, random_constant(b, {24, channels, 1, 1}, 8)}));
    const Graph graph = b.finish();
    const Graph integer = quantize(graph, samples_of(graph, 4));
    EXPECT_LE(plan_error(integer), 0.01) << kernels_of(integer);
    EXPECT_NE(kernels_of(integer).find("scale and shift] U8"), std::string::npos)
        << kernels_of(integer);
  }
}

// Eight bits over five layers of weights and inputs that are spread evenly. Entropy cuts the ends
// of such ranges: measured 0.10; the others stay below 0.06.
TEST(Quantize, StaysNearTheRealGraph) {
  const Graph graph = integer_network(18);
  EXPECT_LE(integer_error(graph, {.calibration = Calibration::min_max}), 0.06);
  EXPECT_LE(integer_error(graph, {.calibration = Calibration::percentile}), 0.06);
  EXPECT_LE(integer_error(graph, {.calibration = Calibration::entropy}), 0.15);
}

// A model optimises its graph, which must not take the integers away.
TEST(Quantize, OptimisingKeepsTheIntegers) {
  const Graph graph = integer_network(16);
  const Graph integer = quantize(graph, samples_of(graph, 2));
  CompiledModel model(integer);
  EXPECT_EQ(kernels_of(model.graph()), kernels_of(integer));
}

TEST(Quantize, KeepsWhatItIsTold) {
  const Graph graph = integer_network(16);
  const Graph integer = quantize(graph, samples_of(graph, 2), {.keep = {"head", "stem"}});
  int dequantized = 0;
  for (const Node& node : integer.nodes)
    if (std::holds_alternative<op::Dequantize>(node.operation) &&
        integer.value(node.inputs[0]).constant)
      ++dequantized;
  EXPECT_EQ(dequantized, 4);
  EXPECT_THROW(quantize(graph, samples_of(graph, 1), {.keep = {"heat"}}), Error);
  EXPECT_THROW(quantize(graph, {}), Error);
}

// Coarse weights: with the correction the mean of each output over the samples is the real one's.
TEST(Quantize, BiasCorrectionRestoresTheMean) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {4, 6});
  const ValueId positive = b.add(op::Unary{{UnaryKind::exp}}, {x});
  std::vector<float> w(12, 0.3f);
  w[0] = w[6] = 100;  // makes the step of both rows large
  b.output("y", b.add(op::Linear{}, {positive, b.constant("w", {2, 6}, w)}));
  const Graph graph = b.finish();
  const auto samples = samples_of(graph, 16);
  const auto mean_error = [&](bool correct) {
    const Graph integer =
        quantize(graph, samples, {.calibration = Calibration::min_max, .bias_correction = correct});
    double sum = 0;
    for (int i = 0; i < 16; ++i) {
      const auto inputs = random_inputs(graph, 1000 + static_cast<uint64_t>(i));
      const auto real = interpret(graph, inputs)[0].data,
                 rounded = interpret(integer, inputs)[0].data;
      for (size_t k = 0; k < real.size(); ++k) sum += rounded[k] - real[k];
    }
    return std::abs(sum) / (16 * 8);
  };
  EXPECT_GT(mean_error(false), 1.5);  // five weights of 0.3 become 0, times a mean of 1.2
  EXPECT_LT(mean_error(true), 0.2);
}

TEST(Calibrate, Thresholds) {
  ValueStatistics s{
      .min = 0, .max = 100, .channel_mean = {}, .histogram = std::vector<int64_t>(2048, 0)};
  for (size_t i = 0; i < 205; ++i) s.histogram[i] = 1000;  // up to 10
  s.histogram.back() = 1;                                  // one far away
  EXPECT_EQ(choose_threshold(s, Calibration::min_max, 0, 255), 100);
  EXPECT_NEAR(choose_threshold(s, Calibration::percentile, 99.9, 255), 10, 0.1);
  EXPECT_NEAR(choose_threshold(s, Calibration::percentile, 50, 255), 5, 0.1);
}

// A bell of width 2 with one value far away: the 16 bins of a level would be coarse for it.
TEST(Calibrate, EntropyCutsWhatIsRare) {
  ValueStatistics s{
      .min = 0, .max = 100, .channel_mean = {}, .histogram = std::vector<int64_t>(2048, 0)};
  for (size_t i = 0; i < 250; ++i) {
    const double z = static_cast<double>(i) / 40.96;
    s.histogram[i] = static_cast<int64_t>(1e7 * std::exp(-z * z / 2));
  }
  s.histogram.back() = 1;
  const double entropy = choose_threshold(s, Calibration::entropy, 0, 128);
  EXPECT_GE(entropy, 5);
  EXPECT_LE(entropy, 30);
}

TEST(Calibrate, Ranges) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {1, 2, 2});
  const ValueId y = b.add(op::Unary{{UnaryKind::negate}}, {x});
  b.output("y", y);
  const Graph graph = b.finish();
  const std::vector<float> numbers{1, 2, 3, -8};
  const auto bytes = std::as_bytes(std::span(numbers));
  const std::vector<CalibrationSample> samples{{{{"x", DType::f32, {1, 2, 2}}, nullptr, bytes}}};
  const std::vector<ObservedValue> rows{{y, 1}}, columns{{y, 2}};
  const auto seen = observe_values(graph, rows, samples);
  EXPECT_EQ(seen[0].min, -3);
  EXPECT_EQ(seen[0].max, 8);
  EXPECT_THAT(seen[0].channel_mean, testing::ElementsAre(-1.5, 2.5));
  EXPECT_THAT(observe_values(graph, columns, samples)[0].channel_mean, testing::ElementsAre(-2, 3));
}

}  // namespace
}  // namespace residua
