// Measuring: percentiles, turns, batches, and what the report says of them.
#include "residua/runtime/bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/graph/passes/passes.h"
#include "residua/runtime/batch.h"
#include "residua/runtime/bench_report.h"
#include "residua/runtime/classes.h"
#include "residua/runtime/quantize.h"
#include "tests/runtime/plan_check.h"

namespace residua {
namespace {

Graph bench_network(int64_t side) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {1, 8, side, side}, {{"batch"}});
  const ValueId y =
      b.add(op::Conv{.padding = {1, 1, 1, 1}}, {x, random_constant(b, {16, 8, 3, 3}, 1)}, "conv");
  b.output("y", b.add(op::Unary{{UnaryKind::relu}}, {y}, "relu"));
  return b.finish();
}

TEST(Bench, PercentilesLieBetweenNeighbours) {
  const std::vector<double> numbers{5, 1, 4, 2, 3};
  EXPECT_EQ(percentile(numbers, 0), 1);
  EXPECT_EQ(percentile(numbers, 0.5), 3);
  EXPECT_DOUBLE_EQ(percentile(numbers, 0.9), 4.6);
  EXPECT_EQ(percentile(numbers, 1), 5);
  EXPECT_EQ(percentile({7}, 0.99), 7);
  EXPECT_TRUE(std::isnan(percentile({}, 0.5)));
}

TEST(Bench, MeasuresEveryVariantAndEveryLayer) {
  const std::vector<BenchVariant> variants{
      {"small", bench_network(8), {.threads = 1}, 0.5},
      {"large", with_batch(bench_network(64), 4), {.threads = 1}, 0.25}};
  int64_t told = 0, of = 0;
  const auto results =
      run_bench(variants, {.warmup = 2, .repeat = 7}, [&](int64_t done, int64_t all) {
        EXPECT_EQ(done, ++told);
        of = all;
      });
  EXPECT_EQ(told, of);
  ASSERT_EQ(results.size(), 2u);
  for (const BenchResult& result : results) {
    EXPECT_EQ(result.seconds.size(), 7u);
    EXPECT_EQ(result.threads, 1);
    EXPECT_GT(result.compile_seconds, 0);
    EXPECT_GT(result.first_seconds, 0);
    EXPECT_GT(result.session_bytes, 0);
    EXPECT_GT(result.weight_bytes, 0);
    double layers = 0;
    int64_t operations = 0;
    for (const LayerTime& layer : result.layers) {
      EXPECT_GT(layer.seconds, 0) << layer.info.name;
      layers += layer.seconds;
      operations += layer.info.operations;
    }
    const int64_t side = result.name == "small" ? 8 : 64;
    EXPECT_EQ(operations, 2 * 9 * 8 * 16 * side * side * result.batch);
    // The layers are the run: within a factor that noise of a shared machine does not reach.
    EXPECT_LT(layers, 20 * percentile(result.seconds, 0.5) + 1e-4);
  }
  EXPECT_EQ(results[0].batch, 1);
  EXPECT_EQ(results[1].batch, 4);
  EXPECT_DOUBLE_EQ(results[1].to_first_result(),
                   0.25 + results[1].compile_seconds + results[1].first_seconds);
  // 256 times the work.
  EXPECT_GT(percentile(results[1].seconds, 0), 3 * percentile(results[0].seconds, 0));
}

TEST(Bench, TheRoofIsTheLowerOfArithmeticAndMemory) {
  const Roofs roofs{
      .threads = 1, .operations = {{DType::f32, 1e11}, {DType::u8, 4e11}}, .bytes = 1e10};
  EXPECT_EQ(roofs.of({.operations = 1000, .bytes = 10}), 1e11);  // 100 operations a byte
  EXPECT_EQ(roofs.of({.operations = 1000, .bytes = 500}), 2e10);
  EXPECT_EQ(roofs.of({.arithmetic = DType::i8, .operations = 1000, .bytes = 1}), 4e11);
  EXPECT_EQ(roofs.of({.arithmetic = DType::bf16, .operations = 1000, .bytes = 500}), 2e10);
  EXPECT_EQ(roofs.of({.operations = 1000, .bytes = 0}), 1e11);
  EXPECT_GT(measure_operations(DType::f32, 1), 1e8);
  EXPECT_GT(measure_bytes(1), 1e7);
}

TEST(Bench, IntegerProductsAreKnownAsSuch) {
  Graph graph = bench_network(8);
  optimise(graph);
  const std::vector<float> numbers = random_numbers(8 * 64, 5);
  const CalibrationSample sample{
      {{"x", DType::f32, {1, 8, 8, 8}}, nullptr, std::as_bytes(std::span(numbers))}};
  const Plan integers(quantize(graph, std::vector<CalibrationSample>{sample}), {.threads = 1});
  const Plan bf16(graph, {.dtype = PlanDType::bf16, .threads = 1});
  for (const auto& [plan, type] : {std::pair{&integers, DType::i8}, {&bf16, DType::bf16}}) {
    int products = 0;
    for (const LayerInfo& layer : plan->layers()) {
      if (layer.operations == 0) continue;
      ++products;
      EXPECT_EQ(layer.arithmetic, type) << layer.kernel;
    }
    EXPECT_EQ(products, 1);
  }
}

TEST(Bench, TheReportHoldsWhatWasMeasured) {
  BenchResult result{.name = "</script>", .options = {.dtype = PlanDType::bf16}, .batch = 2};
  result.seconds = {0.2, 0.1, 0.4};
  result.layers = {{{.name = "a", .arithmetic = DType::u8, .operations = 10, .bytes = 1}, 0.05}};
  const Roofs roofs{.threads = 3, .operations = {{DType::u8, 100}}, .bytes = 5};
  const Json json =
      bench_to_json({result}, {.warmup = 1, .repeat = 3}, roofs, {{"processor", "p"}});
  const Json& variant = json["variants"][0];
  EXPECT_EQ(variant["dtype"], "bf16");
  EXPECT_FALSE(variant.contains("cache"));
  EXPECT_EQ(variant["median"], 0.2);
  EXPECT_EQ(variant["per_second"], 10);
  EXPECT_EQ(variant["layers"][0]["arithmetic"], "int8");
  EXPECT_EQ(variant["layers"][0]["roof"], 50);
  EXPECT_EQ(json["roofs"]["operations"]["int8"], 100);
  const std::string page = bench_page("<title>", json);
  EXPECT_THAT(page, testing::HasSubstr("\"name\":\"\\u003c/script>\""));
  EXPECT_THAT(page, testing::HasSubstr("&lt;title&gt;"));
  EXPECT_THAT(page, testing::Not(testing::HasSubstr("{{")));
}

TEST(Batch, FollowsTheSymbolOrIsRefused) {
  const Graph graph = bench_network(8);
  EXPECT_TRUE(has_open_batch(graph));
  EXPECT_EQ(batch_of(with_batch(graph, 5)), 5);
  Graph fixed = graph;
  fixed.axes.clear();
  EXPECT_FALSE(has_open_batch(fixed));
  EXPECT_EQ(batch_of(with_batch(fixed, 1)), 1);
  try {
    with_batch(fixed, 2);
    FAIL() << "was not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
  }
  Graph pairs = graph;  // two rows for each of the batch
  pairs.symbols["batch"].size = 1;
  pairs.axes[0].rule = {"batch", 2, -1};
  EXPECT_EQ(batch_of(with_batch(pairs, 3)), 3);
  EXPECT_THROW(with_batch(pairs, 4), Error);
}

TEST(Classes, AreSortedWithTheirProbabilities) {
  const std::vector<double> logits{std::log(2.0), std::log(5.0), std::log(2.0), std::log(1.0)};
  const auto best = best_classes(logits, 3, ScoreKind::logits);
  ASSERT_EQ(best.size(), 3u);
  EXPECT_EQ(best[0].first, 1);
  EXPECT_NEAR(best[0].second, 0.5, 1e-12);
  EXPECT_EQ(best[1].first, 0);  // of equal ones the lower
  EXPECT_EQ(best[2].first, 2);
  EXPECT_NEAR(best[2].second, 0.2, 1e-12);
  const std::vector<double> known{0.25, NAN, 0.75};
  const auto given = best_classes(known, 9, ScoreKind::probabilities);
  ASSERT_EQ(given.size(), 3u);
  EXPECT_EQ(given[0], (std::pair<int64_t, double>{2, 0.75}));
  EXPECT_EQ(given[2].first, 1);  // NaN is last
  EXPECT_NEAR(
      best_classes(std::vector{std::log(0.25), std::log(0.75)}, 1, ScoreKind::log_probabilities)[0]
          .second,
      0.75, 1e-12);
}

TEST(Classes, TheScoresKindIsReadFromTheGraph) {
  GraphBuilder b;
  const ValueId x = b.input("x", DType::f32, {2, 4});
  const ValueId soft = b.add(op::Softmax{.axis = 1}, {x});
  b.output("shaped", b.add(op::Reshape{.sizes = {2, 4, 1, 1}}, {soft}));
  b.output("log", b.add(op::Softmax{.axis = 1, .log = true}, {x}));
  b.output("plain", b.add(op::Unary{{UnaryKind::relu}}, {x}));
  const Graph graph = b.finish();
  EXPECT_EQ(score_kind(graph, graph.outputs[0]), ScoreKind::probabilities);
  EXPECT_EQ(score_kind(graph, graph.outputs[1]), ScoreKind::log_probabilities);
  EXPECT_EQ(score_kind(graph, graph.outputs[2]), ScoreKind::logits);
  EXPECT_TRUE(is_scores(graph.value(graph.outputs[0]).type, 2));
  EXPECT_FALSE(is_scores(graph.value(graph.outputs[0]).type, 1));
  EXPECT_FALSE(is_scores({DType::f32, {2, 4, 2}}, 2));
  EXPECT_FALSE(is_scores({DType::i64, {2, 4}}, 2));
  EXPECT_FALSE(is_scores({DType::f32, {2, 1}}, 2));
}

}  // namespace
}  // namespace residua
