// Models of continuous time that are trained inside the probe.

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>

#include "residua/analysis/ode_probes.h"
#include "residua/core/error.h"
#include "residua/data/simulate/plane.h"
#include "residua/data/simulate/spirals.h"
#include "residua/models/dynamics/cnf.h"
#include "residua/models/dynamics/latent_ode.h"

namespace residua {

namespace {

struct LatentOdeProbeOptions {
  int64_t spirals = 200, samples = 100;
  int64_t observed = 30;  // points of the first half that the models see
  double noise = 0.3;
  int64_t iterations = 600, rnn_iterations = 600;
  double lr = 0.01;
  void fields(Fields& f) {
    f.add("spirals", spirals, "half of them to train on, half to test", {.min = 4});
    f.add("samples", samples, "points of a spiral", {.min = 4});
    f.add("observed", observed, "points of its first half that are seen, at irregular times",
          {.min = 2});
    f.add("noise", noise, "standard deviation of the points", {.min = 0, .open_min = true});
    f.add("iterations", iterations, "steps of Adam over all training spirals", {.min = 1});
    f.add("rnn_iterations", rnn_iterations, "the same for the recurrent network", {.min = 1});
    f.add("lr", lr, "learning rate", {.min = 0, .open_min = true});
  }
};

double rms(const at::Tensor& difference) {
  return difference.square().mean().sqrt().item<double>();
}

// Spirals whose first half is seen at some of the points and whose second half is to be foretold.
struct SpiralTask {
  TimeSeries seen_train, seen_test;
  std::vector<double> later;
  at::Tensor later_test;  // [N, T', 2] without noise
  at::Tensor seen_clean;  // of seen_test
};

SpiralTask make_spiral_task(const LatentOdeProbeOptions& o, const Random& random) {
  const Spirals s = simulate_spirals({.spirals = o.spirals, .samples = o.samples, .noise = o.noise},
                                     random.split("spirals"));
  const int64_t half = o.samples / 2;
  if (o.observed > half)
    throw Error(ErrorKind::invalid_argument,
                {.where = "observed", .rule = "must be at most half of the samples"});
  std::vector<int64_t> order(static_cast<size_t>(half));
  for (int64_t i = 0; i < half; ++i) order[static_cast<size_t>(i)] = i;
  Random choice = random.split("observed");
  choice.shuffle(order);
  order.resize(static_cast<size_t>(o.observed));
  std::sort(order.begin(), order.end());
  const at::Tensor index = torch::tensor(order);
  const auto times = s.times.accessor<double, 1>();
  SpiralTask task;
  for (const int64_t i : order) task.seen_train.times.push_back(times[i]);
  for (int64_t i = half; i < o.samples; ++i) task.later.push_back(times[i]);
  const int64_t train = o.spirals / 2;
  task.seen_test.times = task.seen_train.times;
  const at::Tensor seen = s.noisy.index_select(1, index);
  task.seen_train.values = seen.narrow(0, 0, train);
  task.seen_test.values = seen.narrow(0, train, o.spirals - train);
  task.seen_clean = s.clean.index_select(1, index).narrow(0, train, o.spirals - train);
  task.later_test = s.clean.narrow(0, train, o.spirals - train).narrow(1, half, o.samples - half);
  return task;
}

class LatentOdeProbe final : public Probe {
 public:
  explicit LatentOdeProbe(const LatentOdeProbeOptions& options) : o_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    const SpiralTask task = make_spiral_task(o_, context.random);
    torch::manual_seed(context.random.split("training").state());
    ProbeResult result;

    LatentOde ode({.noise = o_.noise}, context.random.split("latent"));
    const std::vector<double> bound = minimise(ode, o_.iterations, [&](int64_t i) {
      // The divergence comes in slowly, so that the latent space is used at all.
      const double weight =
          std::min(1.0, static_cast<double>(i) / (0.5 * static_cast<double>(o_.iterations)));
      return -ode.elbo(task.seen_train, weight).mean();
    });
    SeriesRnn rnn(2, 25, context.random.split("rnn"));
    const at::Tensor target = task.seen_train.values.narrow(1, 1, o_.observed - 1);
    const std::vector<double> error = minimise(rnn, o_.rnn_iterations, [&](int64_t) {
      return (rnn.predict_next(task.seen_train) - target).square().mean();
    });

    const at::NoGradGuard no_grad;
    std::vector<double> times = task.seen_test.times;
    const auto seen = static_cast<int64_t>(times.size());
    times.insert(times.end(), task.later.begin(), task.later.end());
    const at::Tensor curve = ode.decode(ode.encode(task.seen_test).first, times);
    const auto later = static_cast<int64_t>(task.later.size());
    const at::Tensor by_ode = curve.narrow(1, seen, later);
    const at::Tensor by_rnn = rnn.extrapolate(task.seen_test, task.later);
    result.metrics = {{"rmse_latent_ode", rms(by_ode - task.later_test)},
                      {"rmse_rnn", rms(by_rnn - task.later_test)},
                      {"rmse_reconstruction", rms(curve.narrow(1, 0, seen) - task.seen_clean)},
                      {"elbo", -bound.back()}};
    std::vector<double> iterations;
    for (size_t i = 0; i < bound.size(); ++i) iterations.push_back(static_cast<double>(i));
    result.series = {by_time("extrapolation error, latent ODE", task, by_ode),
                     by_time("extrapolation error, RNN", task, by_rnn),
                     {.name = "negative evidence bound",
                      .x_label = "iteration",
                      .y_label = "nats",
                      .x = iterations,
                      .measured = bound}};
    return result;
  }

 private:
  template <class Loss>
  std::vector<double> minimise(torch::nn::Module& model, int64_t iterations, const Loss& loss) {
    torch::optim::Adam optimizer(model.parameters(), torch::optim::AdamOptions(o_.lr));
    std::vector<double> values;
    for (int64_t i = 0; i < iterations; ++i) {
      // The last third of the steps becomes small.
      const double left = static_cast<double>(iterations - i) / static_cast<double>(iterations);
      for (auto& group : optimizer.param_groups())
        group.options().set_lr(o_.lr * std::min(1.0, 3 * left));
      optimizer.zero_grad();
      const at::Tensor value = loss(i);
      value.backward();
      torch::nn::utils::clip_grad_norm_(model.parameters(), 10);
      optimizer.step();
      values.push_back(value.item<double>());
    }
    return values;
  }

  static Series by_time(const std::string& name, const SpiralTask& task, const at::Tensor& curve) {
    const at::Tensor error = (curve - task.later_test).square().mean(at::IntArrayRef{0, 2}).sqrt();
    Series s{.name = name, .x_label = "time", .y_label = "root mean square", .x = task.later};
    for (int64_t i = 0; i < error.size(0); ++i) s.measured.push_back(error[i].item<double>());
    return s;
  }

  LatentOdeProbeOptions o_;
};

struct CnfProbeOptions {
  PlaneData data = PlaneData::circles;
  int64_t iterations = 1500, batch = 256;
  int64_t width = 64, hyper_width = 32;
  double lr = 3e-3, end = 1, tolerance = 1e-4;
  int64_t grid = 120;
  void fields(Fields& f) {
    f.add("data", data, "the distribution on the plane that is learned");
    f.add("iterations", iterations, "steps of Adam", {.min = 1});
    f.add("batch", batch, "points of a step", {.min = 1});
    f.add("width", width, "planar functions of the field", {.min = 1});
    f.add("hyper_width", hyper_width, "of the network in time", {.min = 1});
    f.add("lr", lr, "learning rate", {.min = 0, .open_min = true});
    f.add("end", end, "time over which points flow", {.min = 0, .open_min = true});
    f.add("tolerance", tolerance, "of the solver", {.min = 0, .open_min = true});
    f.add("grid", grid, "points along each side of [-6, 6] for the density's integral",
          {.min = 10});
  }
};

class CnfProbe final : public Probe {
 public:
  explicit CnfProbe(const CnfProbeOptions& options) : o_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    const Random& random = context.random;
    torch::manual_seed(random.split("sample").state());
    Cnf flow({.width = o_.width,
              .hyper_width = o_.hyper_width,
              .end = o_.end,
              .ode = {.rtol = o_.tolerance, .atol = o_.tolerance},
              .adjoint = false},
             random.split("flow"));
    torch::optim::Adam optimizer(flow.parameters(), torch::optim::AdamOptions(o_.lr));
    std::vector<double> iteration, loss;
    for (int64_t i = 0; i < o_.iterations; ++i) {
      const double left =
          static_cast<double>(o_.iterations - i) / static_cast<double>(o_.iterations);
      for (auto& group : optimizer.param_groups())
        group.options().set_lr(o_.lr * std::min(1.0, 2 * left));
      const at::Tensor x =
          simulate_plane(o_.data, o_.batch, random.split("train").split(static_cast<uint64_t>(i)));
      optimizer.zero_grad();
      const at::Tensor value = -flow.log_density(x).mean();
      value.backward();
      optimizer.step();
      iteration.push_back(static_cast<double>(i));
      loss.push_back(value.item<double>());
    }
    const at::NoGradGuard no_grad;
    const at::Tensor test = simulate_plane(o_.data, 2000, random.split("test"));
    const double nats = -flow.log_density(test).mean().item<double>();
    // What a single Gaussian with the data's moments would need.
    const at::Tensor centred = test - test.mean(0);
    const double gaussian = 0.5 * at::logdet(centred.t().mm(centred) / 2000.0).item<double>() + 1 +
                            std::log(2 * std::numbers::pi);
    const auto [z, change] = flow.transport(test, o_.end, 0);
    const auto [back, unused] = flow.transport(z, 0, o_.end);
    ProbeResult result;
    result.metrics = {{"nats", nats},
                      {"gaussian_nats", gaussian},
                      {"gain", gaussian - nats},
                      {"integral", integral(flow)},
                      {"reversal_error", (back - test).abs().max().item<double>()},
                      {"evaluations", static_cast<double>(flow.last_forward().evaluations)}};
    result.series = {{.name = "negative log likelihood",
                      .x_label = "iteration",
                      .y_label = "nats",
                      .x = iteration,
                      .measured = loss}};
    return result;
  }

 private:
  double integral(Cnf& flow) const {
    const double side = 12, cell = side / static_cast<double>(o_.grid);
    const at::Tensor axis = (torch::arange(o_.grid, at::kFloat) + 0.5) * cell - side / 2;
    const auto mesh = torch::meshgrid({axis, axis}, "ij");
    const at::Tensor points = torch::stack({mesh[0].flatten(), mesh[1].flatten()}, 1);
    return flow.log_density(points).exp().sum().item<double>() * cell * cell;
  }

  CnfProbeOptions o_;
};

struct PhysicsOptions {
  int64_t iterations = 400, batch = 32, window = 10, points = 400, hidden = 50;
  double lr = 1e-2;
  void fields(Fields& f) {
    f.add("iterations", iterations, "steps of RMSprop", {.min = 1});
    f.add("batch", batch, "pieces of the curve in a step", {.min = 1});
    f.add("window", window, "points of a piece", {.min = 2});
    f.add("points", points, "of the curve over [0, 10]", {.min = 20});
    f.add("hidden", hidden, "units of the field's network", {.min = 1});
    f.add("lr", lr, "learning rate", {.min = 0, .open_min = true});
  }
};

// A network in y^3 learns dy/dt = A y^3 from pieces of one spiral.
class PhysicsProbe final : public Probe {
 public:
  explicit PhysicsProbe(const PhysicsOptions& options) : o_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    const at::Tensor a = torch::tensor({{-0.1, 2.0}, {-2.0, -0.1}}, at::kFloat);
    const OdeField truth = [&](double, const at::Tensor& y) { return y.pow(3).mm(a); };
    const at::Tensor y0 = torch::tensor({{2.0, 0.0}}, at::kFloat);
    std::vector<double> times(static_cast<size_t>(o_.points));
    for (size_t i = 0; i < times.size(); ++i)
      times[i] = 10 * static_cast<double>(i) / static_cast<double>(o_.points - 1);
    const at::Tensor curve = at::cat(odeint(truth, y0, times, {.rtol = 1e-6, .atol = 1e-7}));

    const auto in = linear(2, o_.hidden, {}, context.random.split("in"));
    const auto out = linear(o_.hidden, 2, {}, context.random.split("out"));
    const OdeField field = [&](double, const at::Tensor& y) {
      return out->forward(in->forward(y.pow(3)).tanh());
    };
    std::vector<at::Tensor> parameters = in->parameters();
    for (const at::Tensor& p : out->parameters()) parameters.push_back(p);
    torch::optim::RMSprop optimizer(parameters, torch::optim::RMSpropOptions(o_.lr));
    const auto window = static_cast<size_t>(o_.window);
    const std::vector<double> piece(times.begin(), times.begin() + static_cast<int64_t>(window));
    const OdeOptions solver{.method = OdeMethod::rk4};
    Random random = context.random.split("pieces");
    std::vector<double> iteration, loss;
    const auto whole = [&] {
      const at::NoGradGuard no_grad;
      return (at::cat(odeint(field, y0, times, solver)) - curve).abs().mean().item<double>();
    };
    const double before = whole();
    for (int64_t i = 0; i < o_.iterations; ++i) {
      const double left =
          static_cast<double>(o_.iterations - i) / static_cast<double>(o_.iterations);
      for (auto& group : optimizer.param_groups()) group.options().set_lr(o_.lr * left);
      std::vector<at::Tensor> pieces;
      for (int64_t b = 0; b < o_.batch; ++b)
        pieces.push_back(curve.narrow(0, random.integer(0, o_.points - o_.window), o_.window));
      const at::Tensor target = at::stack(pieces, 1);  // [window, batch, 2]
      optimizer.zero_grad();
      const at::Tensor value =
          (at::stack(odeint(field, target[0], piece, solver)) - target).abs().mean();
      value.backward();
      optimizer.step();
      iteration.push_back(static_cast<double>(i));
      loss.push_back(value.item<double>());
    }
    ProbeResult result;
    result.metrics = {{"error_before", before}, {"error", whole()}, {"piece_error", loss.back()}};
    result.series = {{.name = "error on pieces",
                      .x_label = "iteration",
                      .y_label = "mean distance",
                      .log_y = true,
                      .x = iteration,
                      .measured = loss}};
    return result;
  }

 private:
  PhysicsOptions o_;
};

}  // namespace

void add_dynamics_probes(Registry<Probe>& probes) {
  probes.add<LatentOdeProbeOptions>(
      {"latent-ode", "extrapolates noisy spirals: a latent ODE against a recurrent network",
       "neural-ode"},
      {}, [](const LatentOdeProbeOptions& o) { return std::make_shared<LatentOdeProbe>(o); });
  probes.add<CnfProbeOptions>(
      {"cnf", "a continuous flow learns a distribution on the plane", "neural-ode"}, {},
      [](const CnfProbeOptions& o) { return std::make_shared<CnfProbe>(o); });
  probes.add<PhysicsOptions>(
      {"learn-physics", "a network learns the field of a spiral from pieces of it", "neural-ode"},
      {}, [](const PhysicsOptions& o) { return std::make_shared<PhysicsProbe>(o); });
}

}  // namespace residua
