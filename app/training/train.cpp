// `residua train`

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <set>

#include "app/commands.h"
#include "app/training/settings_values.h"
#include "residua/analysis/cost.h"
#include "residua/core/error.h"
#include "residua/io/atomic_file.h"
#include "residua/recipes/experiment.h"
#include "residua/train/event_log.h"
#include "residua/train/progress.h"
#include "residua/train/run_folder.h"
#include "residua/train/run_report.h"
#include "residua/train/stop_signal.h"
#include "residua/train/tensorboard.h"

namespace residua::app {

namespace {

constexpr int kInterrupted = 130;

// The log's lines on standard output, for programs.
class JsonLinesDisplay final : public Recorder {
 public:
  void record(const RunEvent& event) override {
    if (const auto* measured = std::get_if<Measured>(&event)) print(to_json(*measured));
    if (const auto* saved = std::get_if<CheckpointSaved>(&event))
      print({{"kind", "checkpoint"},
             {"step", saved->step},
             {"path", saved->path},
             {"best", saved->best}});
  }
  Json position() override { return nullptr; }
  void rewind(const Json&) override {}

 private:
  static void print(const Json& line) {
    fmt::print("{}\n", line.dump());
    std::fflush(stdout);
  }
};

std::shared_ptr<Recorder> make_display(bool json) {
  if (json) return std::make_shared<JsonLinesDisplay>();
  ProgressOptions options{.terminal = isatty(STDERR_FILENO) == 1};
  winsize size{};
  if (options.terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    options.width = size.ws_col;
  const auto write = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  return std::make_shared<ProgressDisplay>(write, options);
}

std::string run_name(const TrainOptions& options) {
  return options.model.name + "-" + options.data.name;
}

// What a continued run may change: nothing that its numbers depend on, but how long it is.
// Memory plans give the same numbers.
Json continued_settings(const RunFolder& folder, const std::vector<std::string>& overrides) {
  static const std::set<std::string> kFree{"epochs",  "keep",   "save_every", "workers",
                                           "threads", "device", "memory"};
  Json settings = read_run_configuration(folder);
  const Json changes = read_settings("", overrides);
  for (const auto& [key, value] : changes.items())
    if (kFree.count(key) == 0 && settings.value(key, Json()) != value)
      throw Error(ErrorKind::invalid_argument,
                  {.where = key,
                   .rule = "cannot change when a run is continued",
                   .expected = fmt::format("only {}", fmt::join(kFree, ", ")),
                   .hint = "a new run can use the weights"});
  merge(settings, changes);
  return settings;
}

struct Sizes {
  ModelCost sample;       // one image or sequence
  TrainingMemory memory;  // a training step
};

Sizes measure_sizes(const Experiment& e) {
  const LoopOptions& loop = e.options.loop;
  Sizes sizes;
  sizes.sample = measure_cost(*e.model, e.one_input);
  sizes.memory = estimate_training_memory(
      sizes.sample, {.batch_size = e.options.batch_size,
                     .optimizer_values = e.options.optim.name == "adamw" ? 2 : 1,
                     .ema = loop.ema_decay > 0,
                     .activation_scale = loop.amp == Amp::off ? 1.0 : 0.5});
  return sizes;
}

int dry_run(const TrainArguments& a, const TrainOptions& options) {
  const Experiment e = make_experiment(options);
  const Sizes sizes = measure_sizes(e);
  const int64_t steps =
      (e.train->batches_per_epoch() + options.loop.accumulate - 1) / options.loop.accumulate;
  const std::string what = e.data->text ? "sequence" : "image";
  if (a.json) {
    const Json result{
        {"configuration", e.configuration()},           {"parameters", sizes.sample.parameters},
        {"macs_per_" + what, sizes.sample.macs},        {"memory_bytes", sizes.memory.total()},
        {"training_" + what + "s", e.train->samples()}, {"test_" + what + "s", e.test->samples()},
        {"steps", steps * options.loop.epochs}};
    fmt::print("{}\n", result.dump(1));
    return 0;
  }
  fmt::print("{}\n", to_toml(e.configuration()));
  fmt::print("# {} {}s to train on, {} to test on; {} steps an epoch, {} in all\n",
             e.train->samples(), what, e.test->samples(), steps, steps * options.loop.epochs);
  fmt::print("# {:L} parameters, {:.2f} million multiply-accumulates a{} {}\n",
             sizes.sample.parameters, static_cast<double>(sizes.sample.macs) / 1e6,
             e.data->text ? "" : "n", what);
  constexpr double kMiB = 1 << 20;
  const TrainingMemory& m = sizes.memory;
  fmt::print(
      "# about {:.1f} MiB of memory: weights {:.1f}, gradients {:.1f}, optimizer {:.1f}, average "
      "{:.1f}, "
      "activations {:.1f}\n",
      static_cast<double>(m.total()) / kMiB, static_cast<double>(m.weights) / kMiB,
      static_cast<double>(m.gradients) / kMiB, static_cast<double>(m.optimizer) / kMiB,
      static_cast<double>(m.ema) / kMiB, static_cast<double>(m.activations) / kMiB);
  return 0;
}

Json result_json(const RunFolder& folder, const RunResult& result) {
  Json test = Json::object();
  for (const Metric& m : result.test) test[m.name] = m.value;
  return {{"run", folder.path},
          {"finished", result.finished},
          {"epochs", result.epoch},
          {"steps", result.step},
          {"test", test},
          {"best_step", result.best_step},
          {"best", result.best_value},
          {"seconds", result.seconds}};
}

// "test accuracy 97.50 %, best 98.00 %", "test loss 1.5734, best 1.5712".
std::string result_text(const Task& task, const RunResult& result) {
  const std::string name = task.best_metric();
  const double last = metric_value(result.test, name);
  if (name == "top1")
    return fmt::format("test accuracy {}, best {}", percent(last), percent(result.best_value));
  return fmt::format("test {} {:.4f}, best {:.4f}", name, last, result.best_value);
}

TrainerParts with_run(const Experiment& e, const RunFolder& folder, bool json) {
  TrainerParts parts = trainer_parts(e);
  const auto report = std::make_shared<RunReport>(
      RunReportParts{.folder = folder,
                     .title = e.options.model.name + " on " + e.options.data.name,
                     .configuration = parts.configuration,
                     .environment = Json::parse(training_environment()),
                     .details = e.review.details});
  parts.checkpoints = std::make_shared<CheckpointStore>(folder.checkpoints(), e.options.loop.keep);
  parts.recorders = {std::make_shared<JsonLinesLog>(folder.metrics()),
                     std::make_shared<TensorBoardLog>(folder.events()), make_display(json), report};
  parts.stop = StopOnSignals::requested;
  return parts;
}

RunResult run_in(const RunFolder& folder, const Experiment& e, const LoopOptions& loop,
                 const TrainArguments& a) {
  try {
    Trainer trainer(with_run(e, folder, a.json), loop);
    if (!a.resume.empty()) trainer.resume();
    return trainer.run();
  } catch (...) {
    if (a.resume.empty()) discard_unused_run(folder);
    throw;
  }
}

}  // namespace

int train(const TrainArguments& a) {
  const bool continued = !a.resume.empty();
  if (continued && (a.dry_run || !a.config.empty()))
    throw Error(ErrorKind::invalid_argument,
                {.where = "--resume",
                 .rule = "goes with the run's own configuration: no file and no --dry-run"});
  RunFolder folder;
  if (continued) folder = open_run_folder(a.resume);
  const TrainOptions options = resolve_options(continued ? continued_settings(folder, a.overrides)
                                                         : read_settings(a.config, a.overrides));
  use_threads(options.threads);
  if (a.dry_run) return dry_run(a, options);

  const StopOnSignals signals;
  const Experiment e = make_experiment(options);
  if (!continued) folder = create_run_folder(options.out, run_name(options), e.configuration());
  const RunResult result = run_in(folder, e, options.loop, a);
  const Json summary = result_json(folder, result);
  if (result.finished) write_file_atomic(folder.result(), summary.dump(1) + "\n");
  if (a.json) {
    fmt::print("{}\n", Json{{"kind", "result"}, {"result", summary}}.dump());
  } else if (result.finished) {
    fmt::print("{}; run folder {}\n", result_text(*e.task, result), folder.path);
  } else {
    fmt::print("stopped at step {}; `residua train --resume {}` goes on\n", result.step,
               folder.path);
  }
  return result.finished ? 0 : kInterrupted;
}

}  // namespace residua::app
