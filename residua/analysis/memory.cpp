#include "residua/analysis/memory.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>

#include "residua/analysis/memory_graph.h"
#include "residua/analysis/slope.h"
#include "residua/connections/checkpoint.h"
#include "residua/models/vision/resnet_cifar.h"
#include "residua/nn/cells.h"
#include "residua/nn/live_bytes.h"
#include "residua/train/device.h"

namespace residua {

StepMemory measure_step(const std::function<at::Tensor()>& loss, int64_t repeats) {
  StepMemory step;
  std::vector<double> seconds;
  for (int64_t i = 0; i < repeats; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    {
      const LiveBytes live;
      const at::Tensor value = loss();
      step.saved = live.now();
      value.backward();
      step.peak = live.peak();
    }
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + repeats / 2, seconds.end());
  step.seconds = seconds[static_cast<size_t>(repeats / 2)];
  return step;
}

namespace {

enum class ScalingCarrier { resnet, lstm };

}  // namespace

template <>
struct EnumNames<ScalingCarrier> {
  static constexpr std::array names{"resnet", "lstm"};
};

namespace {

struct ScalingOptions {
  ScalingCarrier carrier = ScalingCarrier::resnet;
  std::vector<int64_t> sizes = {56, 110, 200};
  std::vector<std::string> plans = {"none", "sqrt", "budget", "recursive", "selective"};
  int64_t width = 8, batch = 64, image = 32;
  double budget = 0.5;
  int64_t steps = 5;

  void fields(Fields& f) {
    f.add("carrier", carrier, "what is deep: a CIFAR ResNet, or an LSTM unrolled in time");
    f.add("sizes", sizes, "depths 6 n + 2 of the network, or steps of the LSTM", {.min = 2});
    f.add("plans", plans, "memory plans, after none, with which they are compared");
    f.add("width", width, "channels of the first stage, or hidden units", {.min = 1});
    f.add("batch", batch, "samples", {.min = 2});
    f.add("image", image, "height and width of images", {.min = 8});
    f.add("budget", budget, "of the budget plan, over what keeping everything needs",
          {.min = 0, .max = 1, .open_min = true});
    f.add("steps", steps, "that are timed", {.min = 1});
  }
};

struct ScalingPoints {
  std::vector<double> peak, seconds;
};

class ScalingProbe final : public Probe {
 public:
  explicit ScalingProbe(const ScalingOptions& options) : o_(options) {
    if (o_.plans.empty() || o_.plans.front() != "none") o_.plans.insert(o_.plans.begin(), "none");
  }

  ProbeResult run(const ProbeContext& context) override {
    std::map<std::string, ScalingPoints> measured;
    for (const int64_t size : o_.sizes) {
      double all = 0;
      for (const std::string& name : o_.plans) {
        // A time step is one product and cheap gates: there is nothing to select.
        if (name == "selective" && o_.carrier == ScalingCarrier::lstm) continue;
        Component plan = name;
        if (name == "budget") plan = {"budget", {{"mb", o_.budget * all / 1e6}}};
        const StepMemory step = measure(size, plan, context.random);
        if (name == "none") all = static_cast<double>(step.peak);
        measured[name].peak.push_back(static_cast<double>(step.peak));
        measured[name].seconds.push_back(step.seconds);
      }
    }
    return report(measured);
  }

 private:
  StepMemory measure(int64_t size, const Component& plan, const Random& random) const {
    const auto memory = std::make_shared<StreamMemory>(memory_planners().create(plan));
    return o_.carrier == ScalingCarrier::resnet ? resnet(size, memory, random)
                                                : lstm(size, memory, random);
  }

  StepMemory resnet(int64_t depth, const std::shared_ptr<StreamMemory>& memory,
                    const Random& random) const {
    ResNetCifar model({.n = (depth - 2) / 6, .width = o_.width}, random.split("model"));
    place_module(model, at::kCPU, /*channels_last=*/true);
    model.use_memory(memory);
    torch::manual_seed(random.split("images").state());
    const at::Tensor x =
        torch::randn({o_.batch, 3, o_.image, o_.image}).contiguous(at::MemoryFormat::ChannelsLast);
    const auto loss = [&] {
      model.zero_grad();
      return model.forward(x).square().mean();
    };
    loss().backward();  // measures the sites and plans, where the plan wants it
    return measure_step(loss, o_.steps);
  }

  StepMemory lstm(int64_t steps, const std::shared_ptr<StreamMemory>& memory,
                  const Random& random) const {
    LstmCell cell(o_.width, o_.width, random.split("model"));
    torch::manual_seed(random.split("series").state());
    const at::Tensor x = torch::randn({steps, o_.batch, o_.width});
    const ChainStep step = [&](int64_t t, State s) {
      const auto [h, c] = cell.forward(x[t], s.streams[0], s.streams[1]);
      return State{.streams = {h, c}};
    };
    const auto loss = [&] {
      cell.zero_grad();
      const at::Tensor zero = torch::zeros({o_.batch, o_.width});
      return memory->run(steps, {.streams = {zero, zero}}, step).x().square().mean();
    };
    loss().backward();
    return measure_step(loss, o_.steps);
  }

  ProbeResult report(const std::map<std::string, ScalingPoints>& measured) const {
    ProbeResult result;
    std::vector<double> x;
    for (const int64_t size : o_.sizes) x.push_back(static_cast<double>(size));
    const std::string label = o_.carrier == ScalingCarrier::resnet ? "depth" : "time steps";
    const ScalingPoints& none = measured.at("none");
    for (const auto& [name, m] : measured) {
      result.metrics.emplace_back("peak_mb_" + name, m.peak.back() / 1e6);
      result.metrics.emplace_back("peak_ratio_" + name, m.peak.back() / none.peak.back());
      result.metrics.emplace_back("time_ratio_" + name, m.seconds.back() / none.seconds.back());
      if (x.size() > 1) result.metrics.emplace_back("exponent_" + name, log_log_slope(x, m.peak));
      result.series.push_back({.name = "peak, " + name,
                               .x_label = label,
                               .y_label = "bytes",
                               .log_x = true,
                               .log_y = true,
                               .x = x,
                               .measured = m.peak});
      result.series.push_back({.name = "time, " + name,
                               .x_label = label,
                               .y_label = "seconds a step",
                               .x = x,
                               .measured = m.seconds});
    }
    return result;
  }

  ScalingOptions o_;
};

struct BarsOptions {
  int64_t blocks = 50;
  int64_t bytes = 1 << 20;
  void fields(Fields& f) {
    f.add("blocks", blocks, "pre-activation blocks of two convolutions", {.min = 1});
    f.add("bytes", bytes, "of one feature map", {.min = 1});
  }
};

class BarsProbe final : public Probe {
 public:
  explicit BarsProbe(const BarsOptions& options) : o_(options) {}

  ProbeResult run(const ProbeContext&) override {
    ProbeResult result;
    const auto mb = [](int64_t bytes) { return static_cast<double>(bytes) / 1e6; };
    const auto bytes = [&](Recomputation again, bool in_place, bool share) {
      return mb(plan_buffers(training_graph(o_.blocks, o_.bytes, again),
                             {.in_place = in_place, .share = share})
                    .bytes);
    };
    const double naive = bytes(Recomputation::none, false, false);
    result.metrics = {{"naive_mb", naive},
                      {"in_place_mb", bytes(Recomputation::none, true, false)},
                      {"share_mb", bytes(Recomputation::none, false, true)},
                      {"both_mb", bytes(Recomputation::none, true, true)},
                      {"cheap_again_mb", bytes(Recomputation::cheap, true, true)},
                      {"sqrt_mb", bytes(Recomputation::sqrt, true, true)}};
    std::vector<double> bars;
    for (const auto& [name, value] : result.metrics) bars.push_back(value);
    const double both = bars[3];
    result.metrics.emplace_back("both_over_naive", both / naive);
    result.metrics.emplace_back("sqrt_over_both", bars[5] / both);
    std::vector<double> place;
    for (size_t i = 0; i < bars.size(); ++i) place.push_back(static_cast<double>(i));
    result.series = {{.name = "planned memory",
                      .x_label = "naive, in place, shared, both, cheap again, sqrt again",
                      .y_label = "MB",
                      .x = place,
                      .measured = bars}};
    return result;
  }

 private:
  BarsOptions o_;
};

}  // namespace

void add_memory_probes(Registry<Probe>& probes) {
  probes.add<ScalingOptions>(
      {"memory-scaling", "peak bytes and time of a training step by depth and memory plan",
       "sublinear-memory"},
      {}, [](const ScalingOptions& o) { return std::make_shared<ScalingProbe>(o); });
  probes.add<BarsOptions>(
      {"memory-bars", "bytes of a training step when its buffers are planned", "sublinear-memory"},
      {}, [](const BarsOptions& o) { return std::make_shared<BarsProbe>(o); });
}

}  // namespace residua
