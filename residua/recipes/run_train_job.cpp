#include "residua/recipes/run_train_job.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <chrono>
#include <cmath>
#include <limits>

#include "residua/analysis/cost.h"
#include "residua/core/error.h"
#include "residua/core/log.h"
#include "residua/io/atomic_file.h"
#include "residua/recipes/data_identity.h"
#include "residua/recipes/experiment.h"
#include "residua/recipes/step_timer.h"
#include "residua/train/event_log.h"
#include "residua/train/non_finite.h"
#include "residua/train/run_folder.h"

namespace residua {

namespace {

double job_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Tells how far a training is.
class FractionRecorder final : public Recorder {
 public:
  explicit FractionRecorder(std::function<void(double)> tell) : tell_(std::move(tell)) {}
  void record(const RunEvent& event) override {
    if (const auto* e = std::get_if<RunStarted>(&event))
      total_ = std::max<int64_t>(1, e->total_steps);
    if (const auto* e = std::get_if<StepDone>(&event))
      tell_(static_cast<double>(e->step) / static_cast<double>(total_));
  }
  Json position() override { return nullptr; }
  void rewind(const Json&) override {}

 private:
  std::function<void(double)> tell_;
  int64_t total_ = 1;
};

// What the numbers of a run do not depend on.
Json job_identity(Json configuration, const JobRequest& request, const std::string& data) {
  for (const char* key : {"out", "workers", "threads", "keep", "save_every", "log_every"})
    configuration.erase(key);
  return {{"configuration", std::move(configuration)},
          {"data", data},
          {"from", request.source ? request.source->key : ""}};
}

bool only_named(const std::vector<std::string>& names, const std::string& prefix) {
  return std::all_of(names.begin(), names.end(),
                     [&](const std::string& name) { return name.starts_with(prefix); });
}

// Weights of another job. The classifier may be of another size and the connection another; both
// then keep their first values. What the model can adopt is of another size too. Nothing else may
// differ.
void begin_with(Model& model, const JobSource& source) {
  const Checkpoint checkpoint = load_checkpoint(*find_checkpoint(source.weights));
  std::vector<std::string> ignored = checkpoint_extra_names();
  const LoadReport report =
      load_weights(model, checkpoint.evaluated_weights(), {.strict = false, .ignore = ignored});
  std::vector<std::string> sizes;
  for (const auto& mismatch : report.mismatched)
    if (!model.adopt(mismatch.name, to_tensor(checkpoint.evaluated_weights().read(mismatch.name))))
      sizes.push_back(mismatch.name);
  const std::string connection = "connection.", classifier = model.info().classifier + ".";
  if (report.loaded > 0 && only_named(report.missing, connection) &&
      only_named(report.unexpected, connection) && only_named(sizes, classifier)) {
    if (!report.complete()) log_message(LogLevel::info, report.text());
    return;
  }
  throw Error(ErrorKind::shape, {.where = source.weights,
                                 .rule = "does not fit the model that is to begin with it",
                                 .received = report.text()});
}

void set_quality_of_divergence(MetricValues& metrics) {
  const auto have = [&](const std::string& name) {
    return std::any_of(metrics.begin(), metrics.end(),
                       [&](const auto& m) { return m.first == name; });
  };
  for (const char* name : {"train.loss", "test.loss", "train.top1", "test.top1"})
    if (!have(name)) metrics.emplace_back(name, 0);
  for (auto& [name, value] : metrics) {
    const std::string measure = name.substr(name.find('.') + 1);
    value = measure == "loss"            ? std::numeric_limits<double>::infinity()
            : measure.starts_with("top") ? 0
            : measure == "perplexity"    ? std::numeric_limits<double>::infinity()
                                         : std::nan("");
  }
}

struct TrainedRun {
  RunResult result;
  bool diverged = false;
  double step_seconds = 0, seconds = 0;
};

// The training itself; nothing when stopped.
std::optional<TrainedRun> train_in(const RunFolder& folder, Experiment& e,
                                   const JobRequest& request, const JobRunOptions& options) {
  if (request.source) begin_with(*e.model, *request.source);
  const auto timer = std::make_shared<StepTimer>();
  TrainerParts parts = trainer_parts(e);
  parts.checkpoints = std::make_shared<CheckpointStore>(folder.checkpoints(), 1);
  parts.recorders = {std::make_shared<JsonLinesLog>(folder.metrics()), timer};
  if (options.progress)
    parts.recorders.push_back(std::make_shared<FractionRecorder>(options.progress));
  parts.stop = options.stop;
  Trainer trainer(std::move(parts), e.options.loop);
  trainer.resume();
  TrainedRun run;
  try {
    run.result = trainer.run();
    if (!run.result.finished) return std::nullopt;
  } catch (const Diverged&) {
    if (!request.may_diverge) throw;
    run.diverged = true;
    run.result.step = trainer.state().step;
    const bool larger = e.task->larger_is_better(), none = trainer.state().best_step < 0;
    run.result.best_value = !none    ? trainer.state().best_value
                            : larger ? 0
                                     : std::numeric_limits<double>::infinity();
  }
  run.seconds = timer->seconds();
  run.step_seconds = timer->median();
  return run;
}

int64_t trainable_parameters(const Model& model) {
  int64_t sum = 0;
  for (const at::Tensor& p : model.parameters()) sum += p.requires_grad() ? p.numel() : 0;
  return sum;
}

JobResult result_of(const TrainedRun& run, const RunFolder& folder, const Experiment& e) {
  RunCurves curves = read_run_curves(folder.metrics());
  const ModelCost cost = measure_cost(*e.model, e.one_input);
  JobResult result{.metrics = std::move(curves.last),
                   .series = std::move(curves.series),
                   .configuration = e.configuration()};
  if (run.diverged) set_quality_of_divergence(result.metrics);
  for (const auto& [name, value] :
       MetricValues{{"best", run.result.best_value},
                    {"seconds", run.seconds},
                    {"step_seconds", run.step_seconds},
                    {"steps", static_cast<double>(run.result.step)},
                    {"parameters", static_cast<double>(cost.parameters)},
                    {"trainable_parameters", static_cast<double>(trainable_parameters(*e.model))},
                    {"macs", static_cast<double>(cost.macs)},
                    {"diverged", run.diverged ? 1.0 : 0.0}})
    result.metrics.emplace_back(name, value);
  return result;
}

}  // namespace

std::optional<JobOutcome> run_train_job(const JobRequest& request, const JobRunOptions& options) {
  const double begin = job_clock();
  Json settings = request.settings;
  settings["seed"] = request.seed;
  Experiment e = make_experiment(resolve_options(settings));
  const Json configuration = e.configuration();
  JobSlot slot(options.cache, e.options.model.name + "-" + e.options.data.name,
               job_identity(configuration, request, data_identity(*e.data)));
  if (!slot.lock(options.stop)) return std::nullopt;
  const RunFolder folder{slot.folder()};
  JobOutcome outcome{.as_source = {slot.key(), folder.path + "/last", configuration}};
  slot.forget_before(options.fresh_since);
  if (std::optional<JobResult> known = slot.load()) {
    outcome.result = std::move(*known);
    outcome.cached = true;
    // The same numbers whether a loss may diverge or not; only what it means differs.
    for (const auto& [name, value] : outcome.result.metrics)
      if (name == "diverged" && value != 0 && !request.may_diverge)
        throw Diverged({.where = folder.path, .rule = "the training diverged"});
    return outcome;
  }
  write_file_atomic(folder.config(), to_toml(configuration));
  const std::optional<TrainedRun> run = train_in(folder, e, request, options);
  if (!run) return std::nullopt;
  outcome.result = result_of(*run, folder, e);
  outcome.result.seconds = job_clock() - begin;
  slot.store(outcome.result);
  return outcome;
}

}  // namespace residua
