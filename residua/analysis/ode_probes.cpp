#include "residua/analysis/ode_probes.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>

#include "residua/analysis/memory.h"
#include "residua/analysis/slope.h"
#include "residua/connections/ode_adjoint.h"
#include "residua/models/vision/odenet.h"
#include "residua/nn/linear.h"

namespace residua {

namespace {

struct ToleranceOptions {
  int64_t width = 64, image = 28, batch = 16;
  double loosest = 1e-1, tightest = 1e-5;
  void fields(Fields& f) {
    const Range positive{.min = 0, .max = 1, .open_min = true};
    f.add("width", width, "channels of the ODE-Net", {.min = 1});
    f.add("image", image, "height and width", {.min = 6});
    f.add("batch", batch, "images of noise", {.min = 1});
    f.add("loosest", loosest, "tolerance to begin with", positive);
    f.add("tightest", tightest, "tolerance to end with", positive);
  }
};

class ToleranceProbe final : public Probe {
 public:
  explicit ToleranceProbe(const ToleranceOptions& options) : o_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    OdeNet net({.width = o_.width, .adjoint = false}, context.random.split("model"));
    net.to(at::kDouble);  // so that rounding is not what is measured
    torch::manual_seed(context.random.split("images").state());
    const at::NoGradGuard no_grad;
    const at::Tensor x =
        net.downsample(torch::randn({o_.batch, 1, o_.image, o_.image}, at::kDouble));
    net.set_tolerance(o_.tightest * 1e-3);
    const at::Tensor exact = net.solve(x);
    std::vector<double> tolerance, evaluations, error;
    for (double t = o_.loosest; t > o_.tightest * 0.99; t /= 10) {
      net.set_tolerance(t);
      const at::Tensor y = net.solve(x);
      tolerance.push_back(t);
      evaluations.push_back(static_cast<double>(net.last_forward().evaluations));
      error.push_back((y - exact).square().mean().sqrt().item<double>());
    }
    ProbeResult result;
    result.metrics = {{"evaluations_loose", evaluations.front()},
                      {"evaluations_tight", evaluations.back()},
                      {"error_loose", error.front()},
                      {"error_tight", error.back()}};
    if (tolerance.size() > 1)
      result.metrics.emplace_back("error_slope", log_log_slope(tolerance, error));
    result.series = {{.name = "error",
                      .x_label = "tolerance",
                      .y_label = "root mean square",
                      .log_x = true,
                      .log_y = true,
                      .x = tolerance,
                      .measured = error},
                     {.name = "evaluations",
                      .x_label = "tolerance",
                      .y_label = "of the field",
                      .log_x = true,
                      .x = tolerance,
                      .measured = evaluations}};
    return result;
  }

 private:
  ToleranceOptions o_;
};

struct AdjointProbeOptions {
  int64_t width = 64, batch = 128;
  std::vector<int64_t> steps = {4, 16, 64};
  int64_t repeats = 5;
  void fields(Fields& f) {
    f.add("width", width, "of the field, a hidden layer of twice that", {.min = 1});
    f.add("batch", batch, "states", {.min = 1});
    f.add("steps", steps, "of rk4 over [0, 1]", {.min = 1});
    f.add("repeats", repeats, "that are timed", {.min = 1});
  }
};

class AdjointProbe final : public Probe {
 public:
  explicit AdjointProbe(const AdjointProbeOptions& options) : o_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    const auto in = linear(o_.width, 2 * o_.width, {}, context.random.split("in"));
    const auto out = linear(2 * o_.width, o_.width, {}, context.random.split("out"));
    torch::manual_seed(context.random.split("states").state());
    const at::Tensor y0 = torch::randn({o_.batch, o_.width});
    std::vector<at::Tensor> parameters = in->parameters();
    for (const at::Tensor& p : out->parameters()) parameters.push_back(p);
    const OdeField field = [&](double, const at::Tensor& y) {
      return out->forward(in->forward(y).tanh());
    };
    const at::Tensor times = torch::tensor({0.0, 1.0}, at::kDouble);

    std::vector<double> x, peak[2], seconds[2];
    double difference = 0;
    for (const int64_t steps : o_.steps) {
      const OdeOptions o{.method = OdeMethod::rk4, .step = 1.0 / static_cast<double>(steps)};
      x.push_back(static_cast<double>(steps));
      at::Tensor gradient[2];
      for (const int adjoint : {0, 1}) {
        const auto loss = [&] {
          for (at::Tensor& p : parameters) p.mutable_grad().reset();
          return (adjoint
                      ? odeint_adjoint(field, y0, times, parameters, {.forward = o, .backward = o})
                      : odeint(field, y0, {0, 1}, o))
              .back()
              .square()
              .sum();
        };
        loss().backward();
        const StepMemory step = measure_step(loss, o_.repeats);
        peak[adjoint].push_back(static_cast<double>(step.peak));
        seconds[adjoint].push_back(step.seconds);
        gradient[adjoint] = parameters[0].grad().clone();
      }
      difference = ((gradient[0] - gradient[1]).norm() / gradient[0].norm()).item<double>();
    }
    ProbeResult result;
    result.metrics = {{"memory_growth_adjoint", peak[1].back() / peak[1].front()},
                      {"memory_growth_steps", peak[0].back() / peak[0].front()},
                      {"memory_ratio", peak[1].back() / peak[0].back()},
                      {"time_ratio", seconds[1].back() / seconds[0].back()},
                      {"gradient_difference", difference}};
    for (const int adjoint : {0, 1}) {
      const std::string name = adjoint ? "adjoint" : "through the steps";
      result.series.push_back({.name = "peak, " + name,
                               .x_label = "steps",
                               .y_label = "bytes",
                               .log_x = true,
                               .log_y = true,
                               .x = x,
                               .measured = peak[adjoint]});
      result.series.push_back({.name = "time, " + name,
                               .x_label = "steps",
                               .y_label = "seconds",
                               .log_x = true,
                               .log_y = true,
                               .x = x,
                               .measured = seconds[adjoint]});
    }
    return result;
  }

 private:
  AdjointProbeOptions o_;
};

struct SplittingOptions {
  int64_t width = 8, batch = 16;
  int64_t halvings = 6;
  double scale = 0.25;
  void fields(Fields& f) {
    f.add("width", width, "of the stream", {.min = 2});
    f.add("batch", batch, "states", {.min = 1});
    f.add("halvings", halvings, "of h", {.min = 2});
    f.add("scale", scale, "the largest h", {.min = 0, .open_min = true});
  }
};

// The two branches of a layer are random maps W2 tanh(W1 x), in double.
class SplittingProbe final : public Probe {
 public:
  explicit SplittingProbe(const SplittingOptions& options) : o_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    torch::manual_seed(context.random.state());
    const auto matrix = [&] {
      return torch::randn({o_.width, o_.width}, at::kDouble) /
             std::sqrt(static_cast<double>(o_.width));
    };
    const at::Tensor a1 = matrix(), a2 = matrix(), m1 = matrix(), m2 = matrix();
    const at::Tensor x = torch::randn({o_.batch, o_.width}, at::kDouble);
    const int64_t half = o_.width / 2;
    at::Tensor low = torch::zeros({o_.width}, at::kDouble);
    low.narrow(0, 0, half).fill_(1);
    const at::Tensor high = 1 - low;
    const auto branch = [](const at::Tensor& in, const at::Tensor& w1, const at::Tensor& w2) {
      return in.mm(w1).tanh().mm(w2);
    };
    // With `apart` each branch sees and writes its own half of the channels.
    const auto difference = [&](double h, bool apart) {
      const auto a = [&](const at::Tensor& s) {
        return apart ? branch(s * low, a1, a2) * low : branch(s, a1, a2);
      };
      const auto m = [&](const at::Tensor& s) {
        return apart ? branch(s * high, m1, m2) * high : branch(s, m1, m2);
      };
      const at::Tensor first = x + h * a(x);
      const at::Tensor sequential = first + h * m(first), parallel = x + h * (a(x) + m(x));
      return (sequential - parallel).norm().item<double>();
    };
    // To second order the difference is h^2 M'(x) A(x).
    std::vector<double> hs, errors, predicted;
    const at::Tensor t = x.mm(m1).tanh(), ax = branch(x, a1, a2);
    const double leading = ((1 - t.square()) * ax.mm(m1)).mm(m2).norm().item<double>();
    double h = o_.scale;
    for (int64_t i = 0; i <= o_.halvings; ++i, h /= 2) {
      hs.push_back(h);
      errors.push_back(difference(h, false));
      predicted.push_back(h * h * leading);
    }
    ProbeResult result;
    result.metrics = {
        {"slope", log_log_slope({hs.end() - 3, hs.end()}, {errors.end() - 3, errors.end()})},
        {"disjoint", difference(o_.scale, true)},
        {"predicted_ratio", errors.back() / predicted.back()}};
    result.series = {{.name = "sequential against parallel",
                      .x_label = "scale of the branches",
                      .y_label = "difference after a layer",
                      .log_x = true,
                      .log_y = true,
                      .x = hs,
                      .measured = errors,
                      .predicted = predicted}};
    return result;
  }

 private:
  SplittingOptions o_;
};

}  // namespace

void add_ode_probes(Registry<Probe>& probes) {
  probes.add<ToleranceOptions>(
      {"ode-tolerance", "evaluations and error of an ODE-Net by the solver's tolerance",
       "neural-ode"},
      {}, [](const ToleranceOptions& o) { return std::make_shared<ToleranceProbe>(o); });
  probes.add<AdjointProbeOptions>(
      {"ode-adjoint", "memory and time of gradients by the adjoint and through the steps",
       "neural-ode"},
      {}, [](const AdjointProbeOptions& o) { return std::make_shared<AdjointProbe>(o); });
  probes.add<SplittingOptions>(
      {"ode-splitting", "how far branches in turn and side by side differ", "node-transformer"}, {},
      [](const SplittingOptions& o) { return std::make_shared<SplittingProbe>(o); });
}

}  // namespace residua
