#pragma once
// Latent ODEs: a time series is the noisy image of a curve that a vector field draws from a random
// start ("Neural Ordinary Differential Equations", arXiv:1806.07366, section 5); and the recurrent
// network that it is compared with.

#include <torch/nn/module.h>

#include <memory>
#include <utility>
#include <vector>

#include "residua/connections/ode.h"
#include "residua/core/random.h"
#include "residua/nn/cells.h"
#include "residua/nn/linear.h"

namespace residua {

// Observations [N, T, d] at common times, T of them rising.
struct TimeSeries {
  at::Tensor values;
  std::vector<double> times;
};

struct LatentOdeOptions {
  int64_t observed = 2, latent = 4, hidden = 20, encoder_hidden = 25;
  double noise = 0.3;  // standard deviation of the observations around the decoded curve
  OdeOptions ode = {.method = OdeMethod::rk4};
};

class LatentOde final : public torch::nn::Module {
 public:
  LatentOde(const LatentOdeOptions& options, const Random& random);

  // Mean and logarithm of the variance of z0 [N, latent], by a GRU that reads the series backwards
  // and is told the time between the points.
  std::pair<at::Tensor, at::Tensor> encode(const TimeSeries& series) const;
  // Curves from z0 at these times, the first of which is that of z0: [N, T, observed].
  at::Tensor decode(const at::Tensor& z0, const std::vector<double>& times) const;
  // Evidence lower bound [N] of equation 13, with z0 drawn by torch's generator; the divergence
  // from the prior is multiplied by `weight`.
  at::Tensor elbo(const TimeSeries& series, double weight = 1) const;

  // The latent curve at these times: T tensors [N, latent].
  std::vector<at::Tensor> latent(const at::Tensor& z0, const std::vector<double>& times) const;
  at::Tensor observe_latent(const at::Tensor& z) const;

 private:
  LatentOdeOptions options_;
  std::shared_ptr<GruCell> encoder_;
  std::shared_ptr<Linear> to_z_, field1_, field2_, field3_, decoder1_, decoder2_;
};

// Log likelihood [N] of event times under an inhomogeneous Poisson process of intensity
// lambda(z(t)) (section 5.1): sum of log lambda at the events minus the integral of lambda, which
// is solved along with z. `intensity` maps [N, latent] to [N], positive; `events[i]` holds the
// times of row i within (times[0], times[1]).
at::Tensor poisson_log_likelihood(const OdeField& field, const at::Tensor& z0,
                                  const std::function<at::Tensor(const at::Tensor&)>& intensity,
                                  const std::vector<std::vector<double>>& events, double begin,
                                  double end, const OdeOptions& options);

// Predicts each point from those before and the time since the last one: [x, dt] -> mean of the
// next. Beyond the series it reads its own predictions.
class SeriesRnn final : public torch::nn::Module {
 public:
  SeriesRnn(int64_t observed, int64_t hidden, const Random& random);

  // Means of points 1, ..., T-1: [N, T-1, observed].
  at::Tensor predict_next(const TimeSeries& series) const;
  // Points at `later` times that follow the series: [N, T', observed].
  at::Tensor extrapolate(const TimeSeries& series, const std::vector<double>& later) const;

 private:
  std::shared_ptr<RnnCell> cell_;
  std::shared_ptr<Linear> out_;
};

}  // namespace residua
