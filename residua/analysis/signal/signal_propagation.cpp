// Probe signal-propagation.

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "residua/analysis/signal/probe_input.h"
#include "residua/analysis/signal/signal.h"
#include "residua/analysis/signal/signal_probes.h"
#include "residua/core/error.h"

namespace residua {

namespace {

StreamModel& stream_of(Model& model, const char* probe) {
  if (auto* stream = dynamic_cast<StreamModel*>(&model)) return *stream;
  throw Error(ErrorKind::unsupported, {.where = probe,
                                       .rule = "looks at residual streams",
                                       .expected = "a model with the option `connection`"});
}

struct SignalPropagationOptions {
  Component model = {"resnet_cifar", Json{{"order", "pre"}}};
  int64_t networks = 8;
  int64_t batch = 16;
  int64_t size = 0;
  bool training = true;
  void fields(Fields& f) {
    f.add("model", model,
          "of which fresh networks are made; not used where the probe looks at a job");
    f.add("networks", networks, "to average over", {.min = 1});
    f.add("batch", batch, "images, of normal numbers", {.min = 1});
    f.add("size", size, "height and width of the images; 0: what the model is made for",
          {.min = 0});
    f.add("training", training, "training mode, with the batch's own statistics");
  }
};

// A number of every site, of several networks.
struct SiteCurve {
  const char* name;
  const char* label;
  bool log;
  double (*of)(const SiteSignal&);
  std::vector<double> mean = {}, low = {}, high = {};

  void add(const std::vector<Signal>& signals) {
    for (size_t i = 0; i < signals.front().sites.size(); ++i) {
      double sum = 0, least = INFINITY, most = -INFINITY;
      for (const Signal& s : signals) {
        const double value = of(s.sites[i]);
        sum += value;
        least = std::min(least, value);
        most = std::max(most, value);
      }
      mean.push_back(sum / static_cast<double>(signals.size()));
      low.push_back(least);
      high.push_back(most);
    }
  }
};

class SignalPropagation final : public Probe {
 public:
  explicit SignalPropagation(const SignalPropagationOptions& options) : o_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    std::vector<Signal> signals;
    double telescoping = 0;
    const int64_t networks = context.weights.empty() ? o_.networks : 1;
    for (int64_t i = 0; i < networks; ++i) {
      const Random own = context.random.split(static_cast<uint64_t>(i));
      const auto model = signal_model(context, o_.model, own.split("model"));
      model->train(o_.training);
      signals.push_back(measure_signal(stream_of(*model, "signal-propagation"),
                                       normal_images(*model, o_.batch, o_.size, own.split("x"))));
      telescoping = std::max(telescoping, signals.back().telescoping_error);
    }
    ProbeResult result = summarise(signals);
    result.metrics.push_back({"telescoping_error", telescoping});
    return result;
  }

 private:
  static ProbeResult summarise(const std::vector<Signal>& signals) {
    std::vector<SiteCurve> curves{
        {"variance", "mean channel variance", false,
         [](const SiteSignal& s) { return s.stream.variance; }},
        {"squared_mean", "mean squared channel mean", true,
         [](const SiteSignal& s) { return s.stream.squared_mean; }},
        {"mean", "mean", false, [](const SiteSignal& s) { return s.stream.mean; }},
        {"branch_variance", "mean channel variance of the branch", true,
         [](const SiteSignal& s) { return s.branch.variance; }},
        {"gradient", "norm of the gradient", true, [](const SiteSignal& s) { return s.gradient; }}};
    std::vector<double> places, predicted;
    for (const SiteSignal& s : signals.front().sites) {
      places.push_back(static_cast<double>(s.site.step + 1));
      if (s.expected_variance > 0) predicted.push_back(s.expected_variance);
    }
    if (predicted.size() != places.size()) predicted.clear();
    ProbeResult result;
    for (SiteCurve& c : curves) {
      c.add(signals);
      const std::string name = c.name;
      result.series.push_back({.name = name,
                               .x_label = "site",
                               .y_label = c.label,
                               .log_y = c.log,
                               .x = places,
                               .measured = c.mean,
                               .predicted = name == "variance" ? predicted : std::vector<double>{},
                               .low = c.low,
                               .high = c.high});
      if (name == "mean") continue;
      result.metrics.push_back({name + "_first", c.mean.front()});
      result.metrics.push_back({name + "_last", c.mean.back()});
    }
    const std::vector<double>&variance = curves[0].mean, &squared = curves[1].mean,
          &gradient = curves[4].mean;
    result.metrics.push_back({"squared_mean_growth", squared.back() / squared.front()});
    result.metrics.push_back({"gradient_ratio", gradient.front() / gradient.back()});
    double error = 0;
    for (size_t i = 0; i < predicted.size(); ++i)
      error = std::max(error, std::abs(variance[i] / predicted[i] - 1));
    if (!predicted.empty()) result.metrics.push_back({"prediction_error", error});
    return result;
  }

  SignalPropagationOptions o_;
};

}  // namespace

void add_signal_propagation_probe(Registry<Probe>& probes) {
  probes.add<SignalPropagationOptions>(
      {"signal-propagation", "moments and gradients of a residual stream after each block",
       "nf-resnet"},
      {}, [](const SignalPropagationOptions& o) { return std::make_shared<SignalPropagation>(o); });
}

}  // namespace residua
