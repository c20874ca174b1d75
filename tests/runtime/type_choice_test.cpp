// The choice of an element type by time and decisions.
#include "residua/runtime/type_choice.h"

#include <gtest/gtest.h>

#include "residua/core/error.h"
#include "tests/runtime/plan_check.h"

namespace residua {
namespace {

Graph small_network() {
  GraphBuilder b;
  ValueId x = b.input("x", DType::f32, {1, 16, 14, 14});
  for (const uint64_t seed : {1u, 2u})
    x = b.add(op::Unary{{UnaryKind::relu}}, {b.add(op::Conv{.padding = {1, 1, 1, 1}},
                                                   {x, random_constant(b, {16, 16, 3, 3}, seed)})});
  x = b.add(op::Reshape{{1, 16}}, {b.add(op::AdaptivePool{}, {x})});
  b.output("y", b.add(op::Linear{}, {x, random_constant(b, {10, 16}, 3)}));
  return b.finish();
}

std::vector<CalibrationSample> samples_of(const Graph& graph, int count) {
  std::vector<CalibrationSample> samples;
  for (int i = 0; i < count; ++i) {
    CalibrationSample& sample = samples.emplace_back();
    for (const Numbers& n : random_inputs(graph, 50 + static_cast<uint64_t>(i))) {
      ConstantData data = write_numbers(n);
      sample.push_back(
          {.info = {"x", n.type.dtype, n.type.shape}, .owner = data.owner, .bytes = data.bytes});
    }
  }
  return samples;
}

TEST(TypeChoice, TriesEachTypeAndKeepsTheFastestThatAgrees) {
  const Graph graph = small_network();
  const TypeChoice choice =
      choose_type(graph, samples_of(graph, 4), {.bf16_agreement = 0, .int8_agreement = 0});
  ASSERT_EQ(choice.trials.size(), 3u);
  EXPECT_EQ(choice.trials[0].type, ElementType::fp32);
  EXPECT_EQ(choice.trials[0].agreement, 1);
  EXPECT_TRUE(choice.trials[0].refused.empty());
  const TypeTrial& chosen = choice.trials[choice.chosen];
  EXPECT_TRUE(chosen.refused.empty());
  for (const TypeTrial& trial : choice.trials) {
    if (trial.refused.empty()) EXPECT_LE(chosen.seconds, trial.seconds);
    if (trial.seconds > 0) EXPECT_LT(trial.error, 0.2);
  }
  const bool has_integers =
      std::any_of(choice.graph.nodes.begin(), choice.graph.nodes.end(),
                  [](const Node& n) { return std::holds_alternative<op::Quantize>(n.operation); });
  EXPECT_EQ(has_integers, chosen.type == ElementType::int8);
}

TEST(TypeChoice, RefusesWhatDecidesOtherwise) {
  const Graph graph = small_network();
  const TypeChoice choice =
      choose_type(graph, samples_of(graph, 4), {.bf16_agreement = 1.01, .int8_agreement = 1.01});
  EXPECT_EQ(choice.trials[choice.chosen].type, ElementType::fp32);
  for (const TypeTrial& trial : choice.trials)
    if (trial.type != ElementType::fp32) EXPECT_FALSE(trial.refused.empty());
}

TEST(TypeChoice, TakesTheForcedType) {
  const Graph graph = small_network();
  const TypeChoice choice = choose_type(graph, samples_of(graph, 4),
                                        {.int8_agreement = 1.01, .forced = ElementType::int8});
  EXPECT_EQ(choice.trials[choice.chosen].type, ElementType::int8);
  EXPECT_FALSE(choice.trials[choice.chosen].refused.empty());
}

TEST(TypeChoice, NeedsSamples) { EXPECT_THROW(choose_type(small_network(), {}), Error); }

}  // namespace
}  // namespace residua
