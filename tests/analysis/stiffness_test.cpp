// Stiffness indices against closed forms.
#include "residua/analysis/dynamics/stiffness.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <map>
#include <numbers>

#include "residua/analysis/probe.h"

namespace residua {
namespace {

TEST(Stiffness, OfEulersMethodOnLinearDecayIsTheStepTimesTheRate) {
  for (const double lambda : {0.5, 3.0}) {
    const double h = 0.01;
    const auto states = solve_plane(linear_decay(lambda), {1.5, -0.5}, h, 200, PlaneSolver::euler);
    for (const double nsi : stiffness_indices(states)) EXPECT_NEAR(nsi, h * lambda, 1e-12);
  }
}

TEST(Stiffness, SolverIsOfFourthOrder) {
  // After one period the harmonic oscillator is back; halving the step divides the error by 16.
  const auto error = [](int64_t steps) {
    const double period = 2 * std::numbers::pi;
    const auto states = solve_plane(harmonic_oscillator(1), {1, 0},
                                    period / static_cast<double>(steps), steps, PlaneSolver::rk4);
    return std::hypot(states.back()[0] - 1, states.back()[1]);
  };
  EXPECT_NEAR(std::log2(error(50) / error(100)), 4, 0.1);
}

TEST(Stiffness, DoesNotDependOnTheScale) {
  const at::Tensor a = torch::randn({4, 3, 2, 2}, at::kDouble), b = torch::randn_like(a);
  const at::Tensor nsi = stiffness_index(a, b);
  EXPECT_TRUE(torch::allclose(nsi, stiffness_index(-7 * a, -7 * b), 1e-12));
  for (int64_t n = 0; n < 4; ++n)
    EXPECT_NEAR(nsi[n].item<double>(),
                ((b[n] - a[n]).square().sum() / a[n].square().sum()).sqrt().item<double>(), 1e-12);
}

TEST(Stiffness, VanDerPolIsStiffAndTheHarmonicOscillatorIsNot) {
  const auto probe = probes().create("ode-stiffness");
  const ProbeResult result = probe->run({.random = Random(0)});
  std::map<std::string, double> m(result.metrics.begin(), result.metrics.end());
  EXPECT_NEAR(m["harmonic.peak_to_median"], 1, 1e-6);
  EXPECT_GE(m["ratio"], 10);
  EXPECT_NEAR(m["harmonic.eigenvalues"], 1, 0);
  EXPECT_GT(m["van_der_pol.eigenvalues"], 1e4);  // about (mu (x^2 - 1))^2 at x = 2
  EXPECT_LE(m["linear.error"], 1e-12);
  for (const Series& series : result.series) EXPECT_EQ(series.x.size(), series.measured.size());
}

TEST(Stiffness, EigenvaluesAreThoseOfTheJacobian) {
  const PlaneField field{.derivative = {}, .jacobian = [](const PlaneState&) {
                           return std::array{-2.0, 1.0, 0.0, -50.0};  // eigenvalues -2 and -50
                         }};
  EXPECT_NEAR(eigenvalue_ratio(field, {{0, 0}}), 25, 1e-12);
}

TEST(Stiffness, PeaksAndStandardsAreOrdinaryStatistics) {
  EXPECT_DOUBLE_EQ(peak_to_median({1, 9, 3}), 3);
  EXPECT_DOUBLE_EQ(peak_to_median({4, 1, 2, 10}), 10.0 / 3);
  const std::vector<double> z = standardised({1, 2, 6});
  EXPECT_NEAR(z[0] + z[1] + z[2], 0, 1e-12);
  EXPECT_NEAR(z[0] * z[0] + z[1] * z[1] + z[2] * z[2], 3, 1e-12);
  EXPECT_EQ(standardised({2, 2}), (std::vector<double>{0, 0}));
}

TEST(Stiffness, ProfileIsThatOfTheStream) {
  const auto model = std::dynamic_pointer_cast<StreamModel>(
      models().create({"mlp", {{"depth", 4}, {"width", 6}, {"image_size", 2}}}, Random(1)));
  model->eval();
  const at::Tensor x = torch::randn({5, 1, 2, 2});
  std::vector<at::Tensor> streams = model->features(x);
  const StiffnessProfile profile = stiffness_profile(*model, {x.slice(0, 0, 2), x.slice(0, 2, 5)});
  EXPECT_EQ(profile.branches, (std::vector<int64_t>{1, 2, 3}));
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < 3; ++i)
    EXPECT_NEAR(profile.nsi[i], stiffness_index(streams[i], streams[i + 1]).mean().item<double>(),
                1e-6);
}

}  // namespace
}  // namespace residua
