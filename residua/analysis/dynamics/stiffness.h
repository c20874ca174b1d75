#pragma once
// Stiffness of trajectories. A network's stream x_0, x_1, ... is the trajectory of an explicit
// solver with unit step ("Understanding Self-attention Mechanism via Dynamical System
// Perspective", Huang et al. 2023, arXiv:2308.09939); its stiffness index is
//   NSI_t = |x_{t+1} - x_t| / |x_t|.

#include <ATen/core/Tensor.h>

#include <array>
#include <functional>
#include <vector>

#include "residua/models/stream_model.h"

namespace residua {

// NSI of each sample, from two states [N, ...]; norms are over all features.
at::Tensor stiffness_index(const at::Tensor& before, const at::Tensor& after);

// The largest over the median: near 1 for steps of one size, large for a stiff trajectory.
double peak_to_median(std::vector<double> values);

// The values less their mean, over their standard deviation (0 where all are equal): the
// least-squares slope between two standardised profiles is their correlation.
std::vector<double> standardised(const std::vector<double>& values);

struct StiffnessProfile {
  std::vector<int64_t> branches;  // of the sites after the first that keep the shape
  std::vector<double> nsi;        // means over samples
};

// Of the first stream of a model in evaluation mode, over batches of images.
StiffnessProfile stiffness_profile(StreamModel& model, const std::vector<at::Tensor>& images);

// --- ordinary differential equations in the plane

using PlaneState = std::array<double, 2>;
struct PlaneField {
  std::function<PlaneState(const PlaneState&)> derivative;
  std::function<std::array<double, 4>(const PlaneState&)> jacobian;  // row-major
};

PlaneField linear_decay(double lambda);        // x' = -lambda x
PlaneField harmonic_oscillator(double omega);  // x'' = -omega^2 x
PlaneField van_der_pol(double mu);             // x'' = mu (1 - x^2) x' - x

// `steps` + 1 states, by the method of Euler or the classical fourth-order method of Runge and
// Kutta.
enum class PlaneSolver { euler, rk4 };
std::vector<PlaneState> solve_plane(const PlaneField& field, PlaneState start, double step,
                                    int64_t steps, PlaneSolver solver);

std::vector<double> stiffness_indices(const std::vector<PlaneState>& states);

// The largest of |Re larger eigenvalue| / |Re smaller eigenvalue| over a trajectory, of Jacobians
// whose eigenvalues are real and not 0; 1 where there is none.
double eigenvalue_ratio(const PlaneField& field, const std::vector<PlaneState>& states);

}  // namespace residua
