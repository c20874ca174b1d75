// Gradients by the adjoint equation against autograd through fine steps and finite differences.
#include "residua/connections/ode_adjoint.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "residua/nn/live_bytes.h"

namespace residua {
namespace {

struct Toy {
  at::Tensor w, b, y0, times;
  OdeField field;

  std::vector<at::Tensor> all() const { return {w, b, y0, times}; }
};

Toy make_toy() {
  torch::manual_seed(3);
  const auto leaf = [](at::Tensor t) { return t.requires_grad_(); };
  Toy toy{.w = leaf(torch::randn({4, 4}, at::kDouble)),
          .b = leaf(torch::randn({4}, at::kDouble)),
          .y0 = leaf(torch::randn({3, 4}, at::kDouble)),
          .times = leaf(torch::tensor({0.1, 0.6, 1.3}, at::kDouble))};
  toy.field = [w = toy.w, b = toy.b](double t, const at::Tensor& y) {
    return (y.mm(w) + b * std::cos(t)).tanh() - 0.2 * y;
  };
  return toy;
}

// A loss of all three states.
at::Tensor loss_of(const std::vector<at::Tensor>& y) {
  return y[0].square().sum() + (y[1] * y[1].sin()).sum() + y[2].pow(3).sum();
}

constexpr double kTight = 1e-11;

AdjointOptions tight(bool seminorm) {
  const OdeOptions o{.rtol = kTight, .atol = kTight};
  return {.forward = o, .backward = o, .seminorm = seminorm};
}

TEST(OdeAdjoint, EqualsAutogradThroughFineSteps) {
  for (const bool seminorm : {false, true}) {
    const Toy toy = make_toy();
    const auto adjoint = torch::autograd::grad(
        {loss_of(odeint_adjoint(toy.field, toy.y0, toy.times, {toy.w, toy.b}, tight(seminorm)))},
        {toy.w, toy.b, toy.y0});
    const std::vector<double> times{0.1, 0.6, 1.3};
    const auto steps = torch::autograd::grad(
        {loss_of(odeint(toy.field, toy.y0, times, {.method = OdeMethod::rk4, .step = 1.2 / 200}))},
        {toy.w, toy.b, toy.y0});
    for (size_t i = 0; i < steps.size(); ++i)
      EXPECT_TRUE(torch::allclose(adjoint[i], steps[i], 1e-5, 1e-7)) << i;
  }
}

TEST(OdeAdjoint, EqualsFiniteDifferences) {
  const Toy toy = make_toy();
  const auto value = [&] {
    const at::NoGradGuard no_grad;
    return loss_of(odeint_adjoint(toy.field, toy.y0, toy.times, {}, tight(false))).item<double>();
  };
  const std::vector<at::Tensor> wanted = toy.all();
  const auto gradient = torch::autograd::grad(
      {loss_of(odeint_adjoint(toy.field, toy.y0, toy.times, {toy.w, toy.b}, tight(false)))},
      wanted);
  for (size_t i = 0; i < wanted.size(); ++i) {
    at::Tensor flat = wanted[i].detach().view(-1);
    for (int64_t j = 0; j < flat.numel(); ++j) {
      const double kept = flat[j].item<double>(), h = 1e-5;
      flat[j] = kept + h;
      const double above = value();
      flat[j] = kept - h;
      const double below = value();
      flat[j] = kept;
      EXPECT_NEAR(gradient[i].view(-1)[j].item<double>(), (above - below) / (2 * h), 1e-6)
          << i << " " << j;
    }
  }
}

TEST(OdeAdjoint, SeminormTakesFewerSteps) {
  const Toy toy = make_toy();
  std::vector<int64_t> evaluations;
  for (const bool seminorm : {false, true}) {
    AdjointOptions o{.forward = {.rtol = 1e-6, .atol = 1e-6},
                     .backward = {.rtol = 1e-6, .atol = 1e-6},
                     .seminorm = seminorm,
                     .stats = std::make_shared<AdjointStats>()};
    loss_of(odeint_adjoint(toy.field, toy.y0, toy.times, {toy.w, toy.b}, o)).backward();
    evaluations.push_back(o.stats->backward.evaluations);
    EXPECT_GT(o.stats->forward.evaluations, 0);
  }
  EXPECT_LE(evaluations[1], evaluations[0]);
  EXPECT_GT(evaluations[1], 0);
}

TEST(OdeAdjoint, MemoryDoesNotGrowWithTheSteps) {
  const at::Tensor w = torch::randn({64, 64}).requires_grad_();
  const at::Tensor y0 = torch::randn({256, 64});
  const OdeField field = [&](double, const at::Tensor& y) { return y.mm(w).tanh(); };
  const at::Tensor times = torch::tensor({0.0, 1.0}, at::kDouble);
  const auto peak = [&](int64_t steps, bool adjoint) {
    const OdeOptions o{.method = OdeMethod::rk4, .step = 1.0 / static_cast<double>(steps)};
    const LiveBytes live;
    const auto y = adjoint ? odeint_adjoint(field, y0, times, {w}, {.forward = o, .backward = o})
                           : odeint(field, y0, {0, 1}, o);
    torch::autograd::grad({y.back().sum()}, {w});
    return static_cast<double>(live.peak());
  };
  EXPECT_NEAR(peak(64, true) / peak(4, true), 1, 0.02);
  EXPECT_GT(peak(64, false) / peak(4, false), 8);
}

}  // namespace
}  // namespace residua
