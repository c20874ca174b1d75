// Solvers of differential equations against closed forms and scipy.
#include "residua/connections/ode.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <fstream>
#include <numbers>
#include <sstream>

#include "residua/connections/ode_event.h"
#include "residua/core/error.h"

namespace residua {
namespace {

at::Tensor vector_of(std::vector<double> values) { return torch::tensor(values, at::kDouble); }

const std::vector<OdeMethod>& all_methods() {
  static const std::vector<OdeMethod> methods = {
      OdeMethod::euler,  OdeMethod::midpoint, OdeMethod::rk4,
      OdeMethod::rk4_38, OdeMethod::adams,    OdeMethod::adams_moulton,
      OdeMethod::dopri5, OdeMethod::bosh3,    OdeMethod::adaptive_heun};
  return methods;
}

std::string name_of(OdeMethod method) {
  return EnumNames<OdeMethod>::names[static_cast<size_t>(method)];
}

TEST(Ode, AdaptiveMethodsReachClosedForms) {
  const at::Tensor a = torch::tensor({{-0.3, 1.2}, {-0.9, 0.1}}, at::kDouble);
  for (const OdeMethod method : all_methods()) {
    if (!is_adaptive(method)) continue;
    // A method of second order would take ten thousand steps.
    const bool coarse = method == OdeMethod::adaptive_heun;
    const OdeOptions o{
        .method = method, .rtol = coarse ? 1e-5 : 1e-8, .atol = coarse ? 1e-6 : 1e-10};
    const double allowed = coarse ? 1e-3 : 1e-6;
    SCOPED_TRACE(name_of(method));
    const auto growth =
        odeint([](double, const at::Tensor& y) { return 0.7 * y; }, vector_of({1, -2}), {0, 2}, o);
    EXPECT_TRUE(torch::allclose(growth[1], vector_of({1, -2}) * std::exp(1.4), allowed, 0));
    const auto linear = odeint([&](double, const at::Tensor& y) { return a.mv(y); },
                               vector_of({1, 2}), {0, 1.5}, o);
    EXPECT_TRUE(torch::allclose(linear[1], torch::matrix_exp(1.5 * a).mv(vector_of({1, 2})),
                                allowed, allowed));
    const auto swing = odeint(
        [](double, const at::Tensor& y) {
          return at::stack({y[1], -y[0]});
        },
        vector_of({1, 0}), {0, 1, 2, 3}, o);
    for (int i = 0; i < 4; ++i)
      EXPECT_TRUE(torch::allclose(swing[static_cast<size_t>(i)],
                                  vector_of({std::cos(i), -std::sin(i)}), allowed, allowed));
  }
}

// dy/dt = cos(t) y has the solution exp(sin t).
double error_of(const OdeOptions& options) {
  const auto y = odeint([](double t, const at::Tensor& y) { return std::cos(t) * y; },
                        vector_of({1}), {0, 2}, options);
  return std::abs(y[1].item<double>() - std::exp(std::sin(2.0)));
}

TEST(Ode, FixedMethodsHaveTheirOrder) {
  const std::vector<std::pair<OdeMethod, double>> orders = {
      {OdeMethod::euler, 1}, {OdeMethod::midpoint, 2}, {OdeMethod::rk4, 4}, {OdeMethod::rk4_38, 4}};
  for (const auto& [method, order] : orders) {
    const double step = order == 4 ? 1. / 32 : 1. / 128;
    const double coarse = error_of({.method = method, .step = step});
    const double fine = error_of({.method = method, .step = step / 2});
    EXPECT_NEAR(std::log2(coarse / fine), order, 0.1) << name_of(method);
  }
}

// The logistic curve; errors do not cancel by chance.
double logistic_error(const OdeOptions& options) {
  const auto y = odeint([](double, const at::Tensor& y) { return y * (1 - y); }, vector_of({0.1}),
                        {0, 4}, options);
  return std::abs(y[1].item<double>() - 1 / (1 + 9 * std::exp(-4.0)));
}

TEST(Ode, AdamsMethodsHaveTheirOrder) {
  for (const OdeMethod method : {OdeMethod::adams, OdeMethod::adams_moulton}) {
    for (int64_t order = 1; order <= 5; ++order) {
      OdeOptions o{.method = method, .rtol = 1e-13, .atol = 1e-13, .order = order};
      o.step = 1. / 64;
      const double coarse = logistic_error(o);
      o.step /= 2;
      EXPECT_NEAR(std::log2(coarse / logistic_error(o)), static_cast<double>(order), 0.1)
          << name_of(method) << " " << order;
    }
  }
}

TEST(Ode, EulerOfUnitStepsIsAResidualNetwork) {
  const at::Tensor w = torch::randn({3, 3}, at::kDouble);
  at::Tensor x = torch::randn({5, 3}, at::kDouble);
  const OdeField field = [&](double t, const at::Tensor& y) { return (y.mm(w) + t).tanh(); };
  const at::Tensor y = odeint(field, x, {0, 4}, {.method = OdeMethod::euler, .step = 1}).back();
  for (int t = 0; t < 4; ++t) x = x + (x.mm(w) + t).tanh();
  EXPECT_TRUE(y.equal(x));
}

at::Tensor scipy_field(const std::string& problem, double t, const at::Tensor& y) {
  const at::Tensor a = y[0], b = y[1];
  if (problem == "oscillator") return at::stack({b, -a});
  if (problem == "cubic_spiral")
    return at::stack({-0.1 * a.pow(3) + 2 * b.pow(3), -2 * a.pow(3) - 0.1 * b.pow(3)});
  if (problem == "lotka_volterra") return at::stack({a * (1.5 - b), b * (a - 3.0)});
  return at::stack({std::cos(3 * t) * b, std::sin(2 * t) - 0.5 * a});
}

at::Tensor scipy_start(const std::string& problem) {
  if (problem == "oscillator") return vector_of({1, 0.5});
  if (problem == "cubic_spiral") return vector_of({2, 0});
  if (problem == "lotka_volterra") return vector_of({2, 1});
  return vector_of({0.3, -0.2});
}

TEST(Ode, Dopri5AgreesWithScipy) {
  std::ifstream file(RESIDUA_SOURCE_DIR "/tests/connections/fixtures/ode.tsv");
  std::string line;
  std::getline(file, line);
  int rows = 0;
  while (std::getline(file, line)) {
    std::istringstream text(line);
    std::string problem;
    double rtol = 0, atol = 0, end = 0, y0 = 0, y1 = 0;
    int64_t steps = 0, evaluations = 0;
    text >> problem >> rtol >> atol >> end >> steps >> evaluations >> y0 >> y1;
    SCOPED_TRACE(line);
    OdeStats stats;
    const auto y = odeint([&](double t, const at::Tensor& s) { return scipy_field(problem, t, s); },
                          scipy_start(problem), {0, end}, {.rtol = rtol, .atol = atol}, &stats);
    // Both stay within a few times their tolerance of the truth.
    const double allowed = rtol > 1e-6 ? 100 * rtol : 1e-5;
    EXPECT_TRUE(torch::allclose(y[1], vector_of({y0, y1}), allowed, allowed)) << y[1];
    EXPECT_NEAR(static_cast<double>(stats.accepted), static_cast<double>(steps),
                0.1 * static_cast<double>(steps));
    // 20 %, measured 15 %: scipy also shortens steps that were just accepted, and rejects fewer.
    EXPECT_NEAR(static_cast<double>(stats.evaluations), static_cast<double>(evaluations),
                0.2 * static_cast<double>(evaluations));
    ++rows;
  }
  EXPECT_EQ(rows, 8);
}

TEST(Ode, DenseOutputIsAsGoodAsTheSteps) {
  std::vector<double> times;
  for (int i = 0; i <= 200; ++i) times.push_back(0.05 * i);
  for (const OdeMethod method : {OdeMethod::dopri5, OdeMethod::bosh3, OdeMethod::adaptive_heun}) {
    OdeStats dense, ends;
    const OdeField swing = [](double, const at::Tensor& y) { return at::stack({y[1], -y[0]}); };
    const bool coarse = method == OdeMethod::adaptive_heun;
    const OdeOptions o{
        .method = method, .rtol = coarse ? 1e-5 : 1e-7, .atol = coarse ? 1e-6 : 1e-9};
    const auto y = odeint(swing, vector_of({0, 1}), times, o, &dense);
    odeint(swing, vector_of({0, 1}), {0, 10}, o, &ends);
    EXPECT_EQ(dense.evaluations, ends.evaluations) << name_of(method);
    for (size_t i = 0; i < times.size(); ++i)
      EXPECT_NEAR(y[i][0].item<double>(), std::sin(times[i]), coarse ? 1e-3 : 1e-5)
          << name_of(method);
  }
}

TEST(Ode, BackInTimeReturnsToTheStart) {
  for (const std::string problem : {"oscillator", "forced"}) {
    const at::Tensor y0 = scipy_start(problem);
    for (const double rtol : {1e-4, 1e-7}) {
      const OdeOptions o{.rtol = rtol, .atol = rtol};
      const OdeField field = [&](double t, const at::Tensor& y) {
        return scipy_field(problem, t, y);
      };
      const at::Tensor y1 = odeint(field, y0, {0, 3}, o).back();
      const at::Tensor back = odeint(field, y1, {3, 0}, o).back();
      EXPECT_LT((back - y0).abs().max().item<double>(), 100 * rtol) << problem;
      EXPECT_GT((y1 - y0).abs().max().item<double>(), 0.1);
    }
  }
}

TEST(Ode, CountsEvaluations) {
  for (const OdeMethod method : all_methods()) {
    int64_t calls = 0;
    OdeStats stats;
    odeint(
        [&](double, const at::Tensor& y) {
          ++calls;
          return -y;
        },
        vector_of({1}), {0, 1}, {.method = method, .step = 0.1}, &stats);
    EXPECT_EQ(stats.evaluations, calls) << name_of(method);
    if (method == OdeMethod::euler) {
      EXPECT_EQ(calls, 10);
    }
    if (method == OdeMethod::rk4) {
      EXPECT_EQ(calls, 40);
    }
    // Two for the first slope and step; then six a step, of which the first is known.
    if (method == OdeMethod::dopri5) {
      EXPECT_EQ(calls, 2 + 6 * (stats.accepted + stats.rejected));
    }
  }
}

TEST(Ode, FindsTheBallsFirstBounce) {
  const double g = 9.81;
  for (const OdeMethod method : {OdeMethod::dopri5, OdeMethod::rk4}) {
    const at::Tensor height = torch::tensor(10.0, torch::dtype(at::kDouble).requires_grad(true));
    const OdeEvent event = odeint_event(
        [&](double, const at::Tensor& y) {
          return at::stack({y[1], at::full({}, -g, at::kDouble)});
        },
        at::stack({height, torch::tensor(2.0, at::kDouble)}), 0, 10,
        [](double, const at::Tensor& y) { return y[0]; }, {.method = method, .step = 0.01});
    ASSERT_TRUE(event.found);
    const double root = std::sqrt(4 + 2 * g * 10);
    const double t = (2 + root) / g;
    EXPECT_NEAR(event.time.item<double>(), t, 1e-7);
    EXPECT_NEAR(event.y[1].item<double>(), -root, 1e-6);
    // dt/dh = 1 / root; the speed there changes by -g dt/dh.
    const at::Tensor of_time =
        torch::autograd::grad({event.time}, {height}, {}, /*retain_graph=*/true)[0];
    EXPECT_NEAR(of_time.item<double>(), 1 / root, 1e-6);
    const at::Tensor of_speed = torch::autograd::grad({event.y[1]}, {height})[0];
    EXPECT_NEAR(of_speed.item<double>(), -g / root, 1e-5);
  }
}

TEST(Ode, SaysWhenNothingHappens) {
  const OdeEvent event =
      odeint_event([](double, const at::Tensor& y) { return -y; }, vector_of({1}), 0, 2,
                   [](double, const at::Tensor& y) { return y[0]; });
  EXPECT_FALSE(event.found);
  EXPECT_NEAR(event.y[0].item<double>(), std::exp(-2.0), 1e-6);
}

TEST(Ode, RefusesWhatItCannotSolve) {
  const OdeField grows = [](double, const at::Tensor& y) { return y.square(); };
  const auto kind_of = [&](const std::vector<double>& times, const OdeOptions& o) {
    try {
      odeint(grows, vector_of({1}), times, o);
    } catch (const Error& e) {
      return std::make_pair(e.kind(), std::string(e.what()));
    }
    return std::make_pair(ErrorKind::internal, std::string("no error"));
  };
  EXPECT_EQ(kind_of({0, 1, 0.5}, {}).first, ErrorKind::invalid_argument);
  EXPECT_EQ(kind_of({}, {}).first, ErrorKind::invalid_argument);
  EXPECT_EQ(kind_of({0, std::nan("")}, {}).first, ErrorKind::invalid_argument);
  // 1 / (1 - t) has no value at 1.
  const auto [kind, text] = kind_of({0, 2}, {});
  EXPECT_EQ(kind, ErrorKind::limit);
  EXPECT_NE(text.find("t = 1"), std::string::npos) << text;
  EXPECT_EQ(kind_of({0, 0.9}, {.max_steps = 3}).first, ErrorKind::limit);
  EXPECT_EQ(kind_of({0, 0.9}, {.method = OdeMethod::adams_moulton, .step = 0.9, .order = 2}).first,
            ErrorKind::limit);
}

}  // namespace
}  // namespace residua
