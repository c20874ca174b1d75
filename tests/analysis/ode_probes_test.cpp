// Probes of solvers and of memory, at toy size.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <map>

#include "residua/analysis/memory.h"
#include "residua/analysis/memory_graph.h"
#include "residua/analysis/slope.h"

namespace residua {
namespace {

std::map<std::string, double> metrics_of(const std::string& name, const Json& options) {
  const ProbeResult result =
      probes().create({name, options})->run({.random = Random(1).split(name)});
  for (const Series& s : result.series) {
    EXPECT_EQ(s.x.size(), s.measured.size()) << s.name;
    EXPECT_TRUE(s.predicted.empty() || s.predicted.size() == s.x.size()) << s.name;
  }
  std::map<std::string, double> metrics;
  for (const auto& [key, value] : result.metrics) {
    EXPECT_TRUE(std::isfinite(value)) << key;
    EXPECT_TRUE(metrics.emplace(key, value).second) << key;
  }
  return metrics;
}

TEST(Slope, IsThatOfAPower) {
  EXPECT_NEAR(log_log_slope({1, 2, 5}, {3, 12, 75}), 2, 1e-12);
  EXPECT_THROW(log_log_slope({1}, {1}), Error);
}

TEST(SplittingProbe, DifferenceIsOfSecondOrder) {
  auto m = metrics_of("ode-splitting", Json::object());
  EXPECT_NEAR(m["slope"], 2, 0.05);
  EXPECT_NEAR(m["predicted_ratio"], 1, 0.05);
  EXPECT_LT(m["disjoint"], 1e-14);
}

TEST(ToleranceProbe, TighterIsDearerAndBetter) {
  auto m = metrics_of("ode-tolerance", {{"width", 8}, {"image", 12}, {"batch", 2}});
  EXPECT_GT(m["evaluations_tight"], m["evaluations_loose"]);
  EXPECT_LT(m["error_tight"], 1e-2 * m["error_loose"]);
}

TEST(AdjointProbe, MemoryStaysAndGradientsAgree) {
  auto m = metrics_of("ode-adjoint", {{"width", 16}, {"batch", 16}, {"repeats", 1}});
  EXPECT_NEAR(m["memory_growth_adjoint"], 1, 0.02);
  EXPECT_GT(m["memory_growth_steps"], 4);
  EXPECT_LT(m["gradient_difference"], 1e-3);
}

TEST(ScalingProbe, RootPlanGrowsMoreSlowly) {
  for (const char* carrier : {"resnet", "lstm"}) {
    const Json options{{"carrier", carrier}, {"sizes", {26, 104}}, {"width", 4},   {"batch", 4},
                       {"image", 8},         {"steps", 1},         {"budget", 0.7}};
    auto m = metrics_of("memory-scaling", options);
    EXPECT_GT(m["exponent_none"], 0.8) << carrier;
    EXPECT_LT(m["exponent_sqrt"], 0.7) << carrier;
    EXPECT_LT(m["exponent_recursive"], m["exponent_none"]) << carrier;
    EXPECT_LE(m["peak_ratio_budget"], 0.8) << carrier;
    EXPECT_LT(m["peak_ratio_sqrt"], 0.6) << carrier;
  }
}

TEST(BarsProbe, EachTechniqueSavesMemory) {
  auto m = metrics_of("memory-bars", Json::object());
  EXPECT_LT(m["in_place_mb"], m["naive_mb"]);
  EXPECT_LT(m["share_mb"], m["naive_mb"]);
  EXPECT_LE(m["both_mb"], m["share_mb"]);
  EXPECT_LT(m["cheap_again_mb"], m["both_mb"]);
  EXPECT_LT(m["sqrt_mb"], 0.5 * m["cheap_again_mb"]);
}

// The same bytes by counting: with everything kept, each block holds x, r1, c1 and r2.
TEST(BarsProbe, LowerBoundIsThatOfCounting) {
  const int64_t blocks = 20;
  const BufferProblem p = training_graph(blocks, 1, Recomputation::none);
  EXPECT_GE(most_live_bytes(p), 4 * blocks);
  EXPECT_LE(most_live_bytes(p), 4 * blocks + 4);
}

TEST(DynamicsProbes, LearnAtToySize) {
  auto latent = metrics_of(
      "latent-ode",
      {{"spirals", 8}, {"samples", 20}, {"observed", 6}, {"iterations", 3}, {"rnn_iterations", 3}});
  EXPECT_GT(latent["rmse_rnn"], 0);
  auto cnf = metrics_of("cnf", {{"iterations", 20}, {"batch", 64}, {"width", 8}, {"grid", 60}});
  EXPECT_NEAR(cnf["integral"], 1, 0.05);
  EXPECT_LT(cnf["reversal_error"], 0.05);
  auto physics = metrics_of("learn-physics", {{"iterations", 60}, {"points", 200}});
  EXPECT_LT(physics["error"], physics["error_before"]);
}

}  // namespace
}  // namespace residua
