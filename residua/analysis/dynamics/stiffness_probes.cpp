#include "residua/analysis/dynamics/stiffness_probes.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "residua/analysis/dynamics/stiffness.h"
#include "residua/analysis/probed_model.h"
#include "residua/connections/stepnet.h"
#include "residua/core/error.h"

namespace residua {

void OdeStiffnessOptions::fields(Fields& f) {
  f.add("mu", mu, "of Van der Pol's oscillator", {.min = 0});
  f.add("step", step, "of the solver", {.min = 0, .open_min = true});
  f.add("time", time, "that is solved for", {.min = 0, .open_min = true});
}

void StiffnessOptions::fields(Fields& f) {
  f.add("images", images, "of the test split; 0: all", {.min = 0});
}

void AttentionPruningOptions::fields(Fields& f) {
  f.add("part", part, "of the modules that is taken out", {.min = 0, .max = 1});
  f.add("draws", draws, "random choices", {.min = 1});
  f.add("images", images, "of the test split; 0: all", {.min = 0});
}

namespace {

std::vector<at::Tensor> stiffness_inputs(const std::vector<Batch>& batches) {
  std::vector<at::Tensor> inputs;
  for (const Batch& batch : batches) inputs.push_back(batch.input);
  return inputs;
}

// At most about 400 points of a curve, the largest of each run of neighbours.
Series thinned_indices(std::string name, const std::vector<double>& values, double step) {
  Series series{.name = std::move(name), .x_label = "time", .y_label = "NSI", .log_y = true};
  const size_t stride = std::max<size_t>(1, values.size() / 400);
  for (size_t i = 0; i < values.size(); i += stride) {
    const auto end = values.begin() + static_cast<ptrdiff_t>(std::min(i + stride, values.size()));
    series.x.push_back(static_cast<double>(i) * step);
    series.measured.push_back(*std::max_element(values.begin() + static_cast<ptrdiff_t>(i), end));
  }
  return series;
}

class OdeStiffness final : public Probe {
 public:
  explicit OdeStiffness(const OdeStiffnessOptions& options) : options_(options) {}

  ProbeResult run(const ProbeContext&) override {
    const double h = options_.step;
    const auto steps = static_cast<int64_t>(std::llround(options_.time / h));
    ProbeResult result;
    double peaks[2];
    size_t at = 0;
    for (const auto& [name, field] : {std::pair{"van_der_pol", van_der_pol(options_.mu)},
                                      std::pair{"harmonic", harmonic_oscillator(1)}}) {
      const auto states = solve_plane(field, {2, 0}, h, steps, PlaneSolver::rk4);
      const std::vector<double> nsi = stiffness_indices(states);
      peaks[at] = peak_to_median(nsi);
      result.metrics.push_back({std::string(name) + ".peak_to_median", peaks[at]});
      result.metrics.push_back(
          {std::string(name) + ".eigenvalues", eigenvalue_ratio(field, states)});
      result.series.push_back(thinned_indices(name, nsi, h));
      ++at;
    }
    result.metrics.push_back({"ratio", peaks[0] / peaks[1]});
    double error = 0;
    const auto line = solve_plane(linear_decay(1), {1, 0.5}, h, 1000, PlaneSolver::euler);
    for (const double nsi : stiffness_indices(line)) error = std::max(error, std::abs(nsi - h));
    result.metrics.push_back({"linear.error", error});
    return result;
  }

 private:
  OdeStiffnessOptions options_;
};

class Stiffness final : public Probe {
 public:
  explicit Stiffness(const StiffnessOptions& options) : options_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    const ProbedModel probed = open_probed(context, "stiffness");
    StreamModel& model = probed.stream("stiffness");
    const auto profile =
        stiffness_profile(model, stiffness_inputs(probed.test_batches(options_.images)));
    const std::vector<double> z = standardised(profile.nsi);
    const double mean = std::accumulate(profile.nsi.begin(), profile.nsi.end(), 0.0) /
                        static_cast<double>(profile.nsi.size());
    ProbeResult result{
        .metrics = {{"mean", mean}, {"peak_to_median", peak_to_median(profile.nsi)}}};
    Series series{.name = "nsi", .x_label = "block", .y_label = "NSI"};
    for (size_t i = 0; i < profile.nsi.size(); ++i) {
      result.metrics.push_back({"nsi" + std::to_string(i), profile.nsi[i]});
      result.metrics.push_back({"z" + std::to_string(i), z[i]});
      series.x.push_back(static_cast<double>(profile.branches[i]));
      series.measured.push_back(profile.nsi[i]);
    }
    result.series.push_back(std::move(series));
    return result;
  }

 private:
  StiffnessOptions options_;
};

class AttentionPruning final : public Probe {
 public:
  explicit AttentionPruning(const AttentionPruningOptions& options) : options_(options) {}

  ProbeResult run(const ProbeContext& context) override {
    const ProbedModel probed = open_probed(context, "attention-pruning");
    StreamModel& model = probed.stream("attention-pruning");
    auto* steps = dynamic_cast<StepSizeConnection*>(&model.connection());
    if (!steps)
      throw Error(ErrorKind::unsupported, {.where = "probe attention-pruning",
                                           .rule = "takes out modules that choose step sizes",
                                           .expected = "connection=attention or stepnet"});
    const auto batches = probed.test_batches(options_.images);
    std::vector<int64_t> order = by_change(model, *steps, stiffness_inputs(batches));
    const auto count =
        static_cast<size_t>(std::llround(options_.part * static_cast<double>(order.size())));
    const auto without = [&](size_t begin) {
      const auto first = order.begin() + static_cast<ptrdiff_t>(begin);
      steps->bypass({first, first + static_cast<ptrdiff_t>(count)});
      const double top1 = top1_of(model, batches);
      steps->bypass({});
      return top1;
    };
    ProbeResult result{.metrics = {{"top1", top1_of(model, batches)},
                                   {"nsi.top1", without(0)},
                                   {"most.top1", without(order.size() - count)}}};
    double random_top1 = 0;
    Random random = context.random.split("attention-pruning");
    for (int64_t i = 0; i < options_.draws; ++i) {
      random.shuffle(order);
      random_top1 += without(0);
    }
    result.metrics.push_back({"random.top1", random_top1 / static_cast<double>(options_.draws)});
    return result;
  }

 private:
  // Branches whose NSI can be told, those first that their module changes least.
  static std::vector<int64_t> by_change(StreamModel& model, StepSizeConnection& steps,
                                        const std::vector<at::Tensor>& images) {
    const StiffnessProfile whole = stiffness_profile(model, images);
    std::vector<std::pair<double, int64_t>> changes;
    for (size_t i = 0; i < whole.branches.size(); ++i) {
      steps.bypass({whole.branches[i]});
      const double nsi = stiffness_profile(model, images).nsi[i];
      changes.push_back({std::abs(nsi - whole.nsi[i]), whole.branches[i]});
    }
    steps.bypass({});
    std::ranges::sort(changes);
    std::vector<int64_t> order;
    for (const auto& [change, branch] : changes) order.push_back(branch);
    return order;
  }

  AttentionPruningOptions options_;
};

}  // namespace

void add_stiffness_probes(Registry<Probe>& probes) {
  probes.add<OdeStiffnessOptions>(
      {"ode-stiffness", "stiffness index of a stiff and of a harmonic oscillator", "stepnet"}, {},
      [](const OdeStiffnessOptions& o) { return std::make_shared<OdeStiffness>(o); });
  probes.add<StiffnessOptions>(
      {"stiffness", "stiffness index over the depth of a trained network", "stepnet"}, {},
      [](const StiffnessOptions& o) { return std::make_shared<Stiffness>(o); });
  probes.add<AttentionPruningOptions>(
      {"attention-pruning", "accuracy after taking out attention by stiffness or at random",
       "stepnet"},
      {}, [](const AttentionPruningOptions& o) { return std::make_shared<AttentionPruning>(o); });
}

}  // namespace residua
