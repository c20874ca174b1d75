#include "residua/recipes/run_job.h"

#include <chrono>

#include "residua/core/error.h"
#include "residua/recipes/job_cache.h"
#include "residua/recipes/run_train_job.h"

namespace residua {

namespace {

double probe_clock() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct ProbeSettings {
  Component probe;
  void fields(Fields& f) { f.add("probe", probe, "what looks, and its options"); }
};

JobResult look(const Component& probe, const JobRequest& request) {
  ProbeContext context{.random = Random(static_cast<uint64_t>(request.seed))};
  if (request.source) {
    context.weights = request.source->weights;
    context.configuration = request.source->configuration;
  }
  const double begin = probe_clock();
  ProbeResult seen = probes().create(probe)->run(context);
  ProbeSettings settings{probe};
  return {.metrics = std::move(seen.metrics),
          .series = std::move(seen.series),
          .configuration = options_to_json(settings),
          .seconds = probe_clock() - begin};
}

// Probes may open data of their own; these are part of the options that name them.
Json probe_identity(const Component& probe, const JobRequest& request) {
  ProbeSettings settings{probe};
  return {{"probe", options_to_json(settings)},
          {"seed", request.seed},
          {"of", request.source ? request.source->key : ""}};
}

std::optional<JobOutcome> run_probe_job(const JobRequest& request, const JobRunOptions& options) {
  ProbeSettings settings;
  assign(settings, request.settings);
  const Component probe = probes().resolve(settings.probe);
  if (request.kind == JobKind::bench) return JobOutcome{.result = look(probe, request)};
  JobSlot slot(options.cache, probe.name, probe_identity(probe, request));
  if (!slot.lock(options.stop)) return std::nullopt;
  slot.forget_before(options.fresh_since);
  if (std::optional<JobResult> known = slot.load())
    return JobOutcome{.result = std::move(*known), .cached = true};
  JobOutcome outcome{.result = look(probe, request)};
  slot.store(outcome.result);
  return outcome;
}

}  // namespace

std::optional<JobOutcome> run_job(const JobRequest& request, const JobRunOptions& options) {
  if (options.stop && options.stop()) return std::nullopt;
  return request.kind == JobKind::train ? run_train_job(request, options)
                                        : run_probe_job(request, options);
}

}  // namespace residua
