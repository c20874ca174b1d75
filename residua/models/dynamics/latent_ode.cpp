#include "residua/models/dynamics/latent_ode.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

namespace residua {

LatentOde::LatentOde(const LatentOdeOptions& options, const Random& random)
    : torch::nn::Module("LatentOde"), options_(options) {
  const LatentOdeOptions& o = options_;
  const auto layer = [&](const char* name, int64_t in, int64_t out) {
    return register_module(name, linear(in, out, {}, random.split(name)));
  };
  encoder_ = register_module("encoder", std::make_shared<GruCell>(o.observed + 1, o.encoder_hidden,
                                                                  random.split("encoder")));
  to_z_ = layer("to_z", o.encoder_hidden, 2 * o.latent);
  field1_ = layer("field1", o.latent, o.hidden);
  field2_ = layer("field2", o.hidden, o.hidden);
  field3_ = layer("field3", o.hidden, o.latent);
  decoder1_ = layer("decoder1", o.latent, o.hidden);
  decoder2_ = layer("decoder2", o.hidden, o.observed);
}

std::pair<at::Tensor, at::Tensor> LatentOde::encode(const TimeSeries& series) const {
  const int64_t n = series.values.size(0), count = series.values.size(1);
  at::Tensor h = at::zeros({n, encoder_->hidden()}, series.values.options());
  double later = series.times.back();
  for (int64_t i = count - 1; i >= 0; --i) {
    const double t = series.times[static_cast<size_t>(i)];
    const at::Tensor gap = at::full({n, 1}, later - t, series.values.options());
    h = encoder_->forward(at::cat({series.values.select(1, i), gap}, 1), h);
    later = t;
  }
  const std::vector<at::Tensor> parts = to_z_->forward(h).chunk(2, 1);
  return {parts[0], parts[1]};
}

std::vector<at::Tensor> LatentOde::latent(const at::Tensor& z0,
                                          const std::vector<double>& times) const {
  const OdeField field = [this](double, const at::Tensor& z) {
    return field3_->forward(at::elu(field2_->forward(at::elu(field1_->forward(z)))));
  };
  return odeint(field, z0, times, options_.ode);
}

at::Tensor LatentOde::observe_latent(const at::Tensor& z) const {
  return decoder2_->forward(decoder1_->forward(z).relu());
}

at::Tensor LatentOde::decode(const at::Tensor& z0, const std::vector<double>& times) const {
  return observe_latent(at::stack(latent(z0, times), 1));
}

at::Tensor LatentOde::elbo(const TimeSeries& series, double weight) const {
  const auto [mean, log_variance] = encode(series);
  const at::Tensor z0 = mean + torch::randn_like(mean) * (0.5 * log_variance).exp();
  const at::Tensor error = (series.values - decode(z0, series.times)) / options_.noise;
  const double constant = std::log(options_.noise) + 0.5 * std::log(2 * std::numbers::pi);
  const at::Tensor likelihood = (-0.5 * error.square() - constant).sum({1, 2});
  const at::Tensor divergence =
      0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum(1);
  return likelihood - weight * divergence;
}

at::Tensor poisson_log_likelihood(const OdeField& field, const at::Tensor& z0,
                                  const std::function<at::Tensor(const at::Tensor&)>& intensity,
                                  const std::vector<std::vector<double>>& events, double begin,
                                  double end, const OdeOptions& options) {
  const int64_t d = z0.size(1);
  const OdeField both = [&](double t, const at::Tensor& s) {
    const at::Tensor z = s.narrow(1, 0, d);
    return at::cat({field(t, z), intensity(z).unsqueeze(1)}, 1);
  };
  std::vector<double> times{begin, end};
  for (const auto& row : events) times.insert(times.end(), row.begin(), row.end());
  std::sort(times.begin(), times.end());
  times.erase(std::unique(times.begin(), times.end()), times.end());
  const at::Tensor start = at::cat({z0, at::zeros({z0.size(0), 1}, z0.options())}, 1);
  const std::vector<at::Tensor> path = odeint(both, start, times, options);
  at::Tensor rows = -path.back().select(1, d);
  std::vector<at::Tensor> sums;
  for (size_t i = 0; i < events.size(); ++i) {
    at::Tensor sum = rows[static_cast<int64_t>(i)];
    for (const double t : events[i]) {
      const auto at = std::lower_bound(times.begin(), times.end(), t) - times.begin();
      const at::Tensor z = path[static_cast<size_t>(at)].narrow(1, 0, d);
      sum = sum + intensity(z)[static_cast<int64_t>(i)].log();
    }
    sums.push_back(sum);
  }
  return at::stack(sums);
}

SeriesRnn::SeriesRnn(int64_t observed, int64_t hidden, const Random& random)
    : torch::nn::Module("SeriesRnn") {
  cell_ = register_module("cell",
                          std::make_shared<RnnCell>(observed + 1, hidden, random.split("cell")));
  out_ = register_module("out", linear(hidden, observed, {}, random.split("out")));
}

namespace {

at::Tensor with_gap(const at::Tensor& x, double gap) {
  return at::cat({x, at::full({x.size(0), 1}, gap, x.options().requires_grad(false))}, 1);
}

}  // namespace

at::Tensor SeriesRnn::predict_next(const TimeSeries& series) const {
  at::Tensor h = at::zeros({series.values.size(0), cell_->hidden()}, series.values.options());
  std::vector<at::Tensor> means;
  for (size_t i = 0; i + 1 < series.times.size(); ++i) {
    const at::Tensor x = series.values.select(1, static_cast<int64_t>(i));
    h = cell_->forward(with_gap(x, series.times[i + 1] - series.times[i]), h);
    means.push_back(x + out_->forward(h));
  }
  return at::stack(means, 1);
}

at::Tensor SeriesRnn::extrapolate(const TimeSeries& series,
                                  const std::vector<double>& later) const {
  at::Tensor h = at::zeros({series.values.size(0), cell_->hidden()}, series.values.options());
  std::vector<double> times = series.times;
  times.insert(times.end(), later.begin(), later.end());
  std::vector<at::Tensor> means;
  at::Tensor x;
  for (size_t i = 0; i + 1 < times.size(); ++i) {
    const bool given = i < series.times.size();
    if (given) x = series.values.select(1, static_cast<int64_t>(i));
    h = cell_->forward(with_gap(x, times[i + 1] - times[i]), h);
    const at::Tensor next = x + out_->forward(h);
    if (i + 1 >= series.times.size()) means.push_back(next);
    x = next;
  }
  return at::stack(means, 1);
}

}  // namespace residua
