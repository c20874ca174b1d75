#include "residua/analysis/dynamics/stiffness.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace residua {

at::Tensor stiffness_index(const at::Tensor& before, const at::Tensor& after) {
  const at::Tensor from = before.flatten(1), change = after.flatten(1) - from;
  return change.norm(2, 1) / from.norm(2, 1);
}

double peak_to_median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t n = values.size(), half = n / 2;
  const double median = n % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return values.back() / median;
}

std::vector<double> standardised(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (const double v : values) squares += (v - mean) * (v - mean);
  const double deviation = std::sqrt(squares / n);
  std::vector<double> z;
  for (const double v : values) z.push_back(deviation > 0 ? (v - mean) / deviation : 0);
  return z;
}

StiffnessProfile stiffness_profile(StreamModel& model, const std::vector<at::Tensor>& images) {
  const at::NoGradGuard no_grad;
  StiffnessProfile profile;
  for (const Site& site : model.schedule())
    if (site.step > 0 && !site.changes_shape()) profile.branches.push_back(site.branch);
  profile.nsi.assign(profile.branches.size(), 0);
  int64_t samples = 0;
  size_t place = 0;
  at::Tensor before;
  model.visit_sites([&](const Site& site, const State& state) {
    if (site.step > 0 && !site.changes_shape())
      profile.nsi[place++] += stiffness_index(before, state.x()).sum().item<double>();
    before = state.x();
  });
  for (const at::Tensor& x : images) {
    place = 0;
    model.forward(x);
    samples += x.size(0);
  }
  model.visit_sites({});
  for (double& nsi : profile.nsi) nsi /= static_cast<double>(samples);
  return profile;
}

PlaneField linear_decay(double lambda) {
  return {[=](const PlaneState& s) {
            return PlaneState{-lambda * s[0], -lambda * s[1]};
          },
          [=](const PlaneState&) {
            return std::array{-lambda, 0.0, 0.0, -lambda};
          }};
}

PlaneField harmonic_oscillator(double omega) {
  return {[=](const PlaneState& s) {
            return PlaneState{omega * s[1], -omega * s[0]};
          },
          [=](const PlaneState&) {
            return std::array{0.0, omega, -omega, 0.0};
          }};
}

PlaneField van_der_pol(double mu) {
  return {[=](const PlaneState& s) {
            return PlaneState{s[1], mu * (1 - s[0] * s[0]) * s[1] - s[0]};
          },
          [=](const PlaneState& s) {
            return std::array{0.0, 1.0, -2 * mu * s[0] * s[1] - 1, mu * (1 - s[0] * s[0])};
          }};
}

std::vector<PlaneState> solve_plane(const PlaneField& field, PlaneState s, double h, int64_t steps,
                                    PlaneSolver solver) {
  const auto moved = [](const PlaneState& x, double a, const PlaneState& v) {
    return PlaneState{x[0] + a * v[0], x[1] + a * v[1]};
  };
  std::vector<PlaneState> states{s};
  for (int64_t i = 0; i < steps; ++i) {
    const PlaneState k1 = field.derivative(s);
    if (solver == PlaneSolver::euler) {
      s = moved(s, h, k1);
    } else {
      const PlaneState k2 = field.derivative(moved(s, h / 2, k1)),
                       k3 = field.derivative(moved(s, h / 2, k2)),
                       k4 = field.derivative(moved(s, h, k3));
      for (size_t d = 0; d < 2; ++d) s[d] += h / 6 * (k1[d] + 2 * k2[d] + 2 * k3[d] + k4[d]);
    }
    states.push_back(s);
  }
  return states;
}

std::vector<double> stiffness_indices(const std::vector<PlaneState>& states) {
  std::vector<double> nsi;
  for (size_t t = 0; t + 1 < states.size(); ++t) {
    const PlaneState &a = states[t], &b = states[t + 1];
    nsi.push_back(std::hypot(b[0] - a[0], b[1] - a[1]) / std::hypot(a[0], a[1]));
  }
  return nsi;
}

double eigenvalue_ratio(const PlaneField& field, const std::vector<PlaneState>& states) {
  double largest = 1;
  for (const PlaneState& s : states) {
    const auto [a, b, c, d] = field.jacobian(s);
    const double half = (a + d) / 2, determinant = a * d - b * c;
    const double discriminant = half * half - determinant;
    if (discriminant < 0 || determinant == 0) continue;
    const double big = std::abs(half) + std::sqrt(discriminant);  // the product is the determinant
    largest = std::max(largest, big * big / std::abs(determinant));
  }
  return largest;
}

}  // namespace residua
