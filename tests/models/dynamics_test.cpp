// Continuous flows and latent ODEs against closed forms and autograd.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <numbers>

#include "residua/models/dynamics/cnf.h"
#include "residua/models/dynamics/latent_ode.h"

namespace residua {
namespace {

TEST(Cnf, PlanarTraceIsThatOfAutograd) {
  PlanarField field({.dimension = 3, .width = 5}, Random(1));
  field.to(at::kDouble);
  torch::manual_seed(1);
  const at::Tensor z = torch::randn({7, 3}, at::kDouble).requires_grad_();
  const PlanarField::Value v = field.forward(0.3, z);
  EXPECT_TRUE(torch::allclose(v.trace, exact_trace(v.f, z), 1e-10, 1e-12));
  EXPECT_GT(v.trace.abs().max().item<double>(), 1e-3);
}

TEST(Cnf, ChangeOfVariablesOfALinearFieldIsItsDeterminant) {
  // z(1) = exp(A) z(0), and log |det exp(A)| = tr A.
  const at::Tensor a = torch::tensor({{0.4, -1.0}, {0.7, -0.1}}, at::kDouble);
  const at::Tensor z0 = torch::randn({6, 2}, at::kDouble);
  const OdeField both = [&](double, const at::Tensor& s) {
    const torch::AutoGradMode with_grad(true);
    const at::Tensor z = s.narrow(1, 0, 2).detach().requires_grad_();
    const at::Tensor f = z.mm(a.t());
    return at::cat({f, exact_trace(f, z).unsqueeze(1)}, 1).detach();
  };
  const at::Tensor end = odeint(both, at::cat({z0, torch::zeros({6, 1}, at::kDouble)}, 1), {0, 1},
                                {.rtol = 1e-11, .atol = 1e-12})
                             .back();
  const at::Tensor map = torch::matrix_exp(a);
  EXPECT_TRUE(torch::allclose(end.narrow(1, 0, 2), z0.mm(map.t()), 1e-8, 1e-8));
  const double exact = std::log(torch::linalg_det(map).item<double>());
  EXPECT_LT((end.select(1, 2) - exact).abs().max().item<double>(), 1e-8);
}

TEST(Cnf, DensityIntegratesToOne) {
  Cnf flow({.width = 16, .ode = {.rtol = 1e-6, .atol = 1e-6}}, Random(3));
  for (at::Tensor& p : flow.parameters()) p.detach().mul_(2);  // far from the identity
  const at::NoGradGuard no_grad;
  const double side = 16;
  const int64_t grid = 160;
  const at::Tensor axis =
      (torch::arange(grid, at::kFloat) + 0.5) * (side / static_cast<double>(grid)) - side / 2;
  const auto mesh = torch::meshgrid({axis, axis}, "ij");
  const at::Tensor points = torch::stack({mesh[0].flatten(), mesh[1].flatten()}, 1);
  const at::Tensor log_p = flow.log_density(points);
  const double cell = std::pow(side / static_cast<double>(grid), 2);
  EXPECT_NEAR(log_p.exp().sum().item<double>() * cell, 1, 1e-2);
  const at::Tensor normal = -0.5 * points.square().sum(1) - std::log(2 * std::numbers::pi);
  EXPECT_GT((log_p.exp() - normal.exp()).abs().max().item<double>(), 0.02);
}

TEST(Cnf, SamplesFlowBackToTheBase) {
  Cnf flow({.ode = {.rtol = 1e-6, .atol = 1e-6}}, Random(4));
  const at::NoGradGuard no_grad;
  const at::Tensor x = torch::randn({50, 2});
  const auto [z, change] = flow.transport(x, 1, 0);
  const auto [back, change_back] = flow.transport(z, 0, 1);
  EXPECT_LT((back - x).abs().max().item<double>(), 1e-4);
  EXPECT_LT((change + change_back).abs().max().item<double>(), 1e-4);
  EXPECT_EQ(flow.sample(9).sizes().vec(), (std::vector<int64_t>{9, 2}));
}

TEST(Cnf, AdjointAndStepsGiveTheSameGradient) {
  const at::Tensor x = torch::randn({20, 2}, at::kDouble);
  std::vector<at::Tensor> gradients[2];
  for (const bool adjoint : {false, true}) {
    Cnf flow({.width = 8, .ode = {.rtol = 1e-9, .atol = 1e-9}, .adjoint = adjoint}, Random(5));
    flow.to(at::kDouble);
    gradients[adjoint] = torch::autograd::grad({flow.log_density(x).mean()}, flow.parameters());
  }
  for (size_t i = 0; i < gradients[0].size(); ++i)
    EXPECT_TRUE(torch::allclose(gradients[0][i], gradients[1][i], 1e-5, 1e-8)) << i;
}

TimeSeries series_of(int64_t n, const std::vector<double>& times) {
  torch::manual_seed(6);
  return {torch::randn({n, static_cast<int64_t>(times.size()), 2}), times};
}

TEST(LatentOde, BoundIsTheSumOfItsTerms) {
  LatentOde model({}, Random(1));
  const TimeSeries series = series_of(5, {0.1, 0.2, 0.5});
  torch::manual_seed(9);
  const at::Tensor bound = model.elbo(series);
  torch::manual_seed(9);
  const auto [mean, log_variance] = model.encode(series);
  const at::Tensor z0 = mean + torch::randn_like(mean) * (log_variance / 2).exp();
  const at::Tensor curve = model.decode(z0, series.times);
  at::Tensor expected = torch::zeros({5});
  const double sigma = 0.3;
  for (int64_t t = 0; t < 3; ++t)
    for (int64_t d = 0; d < 2; ++d) {
      const at::Tensor e =
          series.values.select(1, t).select(1, d) - curve.select(1, t).select(1, d);
      expected = expected - e.square() / (2 * sigma * sigma) -
                 0.5 * std::log(2 * std::numbers::pi * sigma * sigma);
    }
  for (int64_t k = 0; k < 4; ++k) {
    const at::Tensor m = mean.select(1, k), v = log_variance.select(1, k).exp();
    expected = expected - 0.5 * (v + m * m - 1 - v.log());
  }
  EXPECT_TRUE(torch::allclose(bound, expected, 1e-4, 1e-3));
}

TEST(LatentOde, ReadsTheSeriesBackwardsAndItsTimes) {
  LatentOde model({}, Random(1));
  TimeSeries series = series_of(3, {0.1, 0.2, 0.5});
  const at::Tensor mean = model.encode(series).first;
  EXPECT_EQ(mean.sizes().vec(), (std::vector<int64_t>{3, 4}));
  series.times = {0.1, 0.3, 0.5};
  EXPECT_FALSE(mean.equal(model.encode(series).first));
}

TEST(LatentOde, PoissonLikelihoodOfAKnownIntensity) {
  // z grows as exp(t), the intensity is z: its integral over [0, T] is exp(T) - 1.
  const OdeField field = [](double, const at::Tensor& z) { return z; };
  const auto intensity = [](const at::Tensor& z) { return z.select(1, 0); };
  const at::Tensor z0 = torch::ones({2, 1}, at::kDouble).requires_grad_();
  const at::Tensor likelihood = poisson_log_likelihood(field, z0, intensity, {{0.5, 1.1}, {}}, 0, 2,
                                                       {.rtol = 1e-10, .atol = 1e-10});
  const double integral = std::exp(2.0) - 1;
  EXPECT_NEAR(likelihood[0].item<double>(), 1.6 - integral, 1e-7);
  EXPECT_NEAR(likelihood[1].item<double>(), -integral, 1e-7);
  // With z0 = c: 2 log c + 1.6 - c integral.
  const at::Tensor g = torch::autograd::grad({likelihood[0]}, {z0})[0];
  EXPECT_NEAR(g[0].item<double>(), 2 - integral, 1e-6);
}

TEST(SeriesRnn, ExtrapolatesFromItsOwnPredictions) {
  SeriesRnn rnn(2, 5, Random(1));
  const TimeSeries series = series_of(4, {0.0, 0.1, 0.3});
  const at::Tensor later = rnn.extrapolate(series, {0.4, 0.5});
  // The first is what a longer series would predict next; the second reads the first.
  TimeSeries longer{at::cat({series.values, later.narrow(1, 0, 1), torch::zeros({4, 1, 2})}, 1),
                    {0.0, 0.1, 0.3, 0.4, 0.5}};
  const at::Tensor next = rnn.predict_next(longer);
  EXPECT_TRUE(torch::allclose(next.narrow(1, 2, 2), later, 1e-5, 1e-6));
}

}  // namespace
}  // namespace residua
