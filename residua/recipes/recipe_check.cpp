#include "residua/recipes/recipe_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <regex>

#include "residua/analysis/probe.h"
#include "residua/connections/connection.h"
#include "residua/connections/memory_plan.h"
#include "residua/core/error.h"
#include "residua/data/dataset.h"
#include "residua/models/model.h"
#include "residua/optim/optimizer.h"
#include "residua/optim/schedule.h"
#include "residua/recipes/claim.h"
#include "residua/recipes/experiment.h"

namespace residua {

namespace {

[[noreturn]] void refuse_recipe(const std::string& where, const std::string& rule,
                                const std::string& expected = {}, const std::string& received = {},
                                const std::string& hint = {}) {
  throw Error(
      ErrorKind::invalid_argument,
      {.where = where, .rule = rule, .expected = expected, .received = received, .hint = hint});
}

void need_text(const std::string& where, const std::string& text) {
  if (text.empty()) refuse_recipe(where, "is missing");
}

// Errors of what lies within `where` say so.
template <class Act>
void within(const std::string& where, const Act& act) {
  try {
    act();
  } catch (const Error& e) {
    ErrorText text = e.text();
    text.where = text.where.empty() ? where : where + ": " + text.where;
    throw Error(e.kind(), text);
  }
}

template <class Registry>
void find_in(const Registry& registry, const std::string& kind, const std::string& name) {
  if (registry.contains(name)) return;
  throw Error(ErrorKind::not_found, {.where = kind + "/" + name,
                                     .rule = "is not the name of a " + registry.kind(),
                                     .hint = nearest_names_hint(name, registry.list())});
}

void check_head(const Recipe& r) {
  const std::string stem = std::filesystem::path(r.file).stem();
  if (r.slug != stem) refuse_recipe("slug", "must be the name of the file", stem, r.slug);
  need_text("title", r.title);
  need_text("family", r.family);
  need_text("kind", r.kind);
  need_text("summary", r.summary);
  need_text("implemented", r.implemented);
  need_text("checked", r.checked);
  if (r.year == 0) refuse_recipe("year", "is missing");
  if (r.components.empty()) refuse_recipe("components", "must name one at least");
  for (const std::string& component : r.components)
    within("components", [&] { check_component(component); });
}

void check_probe_settings(const Json& settings) {
  struct {
    Component probe;
    void fields(Fields& f) { f.add("probe", probe, ""); }
  } part;
  assign(part, settings);
  if (part.probe.name.empty()) refuse_recipe("probe", "is missing", "{name = \"...\", ...}");
  find_in(probes(), "probe", part.probe.name);
  probes().find(part.probe.name).resolve(part.probe.options_or_empty(), "probe");
}

// `from` and `of` name a train job that stands above and runs wherever this one does.
void check_source(const Recipe& recipe, size_t index, const std::string& where) {
  const RecipeJob& job = recipe.jobs[index];
  const bool trains = job.kind == JobKind::train;
  if (trains && !job.of.empty()) refuse_recipe(where + ".of", "is for probes", "from");
  if (!trains && !job.from.empty()) refuse_recipe(where + ".from", "is for train jobs", "of");
  const std::string& source = job.source();
  if (source.empty()) return;
  const std::string key = where + (trains ? ".from" : ".of");
  std::vector<std::string> above;
  for (size_t i = 0; i < index; ++i)
    if (recipe.jobs[i].kind == JobKind::train) above.push_back(recipe.jobs[i].name);
  if (std::find(above.begin(), above.end(), source) == above.end())
    refuse_recipe(key, "must name a train job that stands above it", {}, source,
                  nearest_names_hint(source, above));
  for (const Scale scale : job.scales)
    if (!recipe.find_job(source)->runs_at(scale))
      refuse_recipe(
          key, fmt::format("the job {} does not run at the scale {}", source, scale_name(scale)));
}

void check_job(const Recipe& recipe, size_t index) {
  static const std::regex kName("[a-z][a-z0-9_]*");
  const RecipeJob& job = recipe.jobs[index];
  const std::string where = job.name.empty() ? fmt::format("job[{}]", index) : "job." + job.name;
  if (!std::regex_match(job.name, kName))
    refuse_recipe(where + ".name", "must be small letters, digits and _", "[a-z][a-z0-9_]*",
                  job.name);
  for (size_t i = 0; i < index; ++i)
    if (recipe.jobs[i].name == job.name) refuse_recipe(where, "is there twice");
  if (job.may_diverge && job.kind != JobKind::train)
    refuse_recipe(where + ".may_diverge", "is for train jobs");
  check_source(recipe, index, where);
  for (const Scale scale : job.scales)
    within(where + "." + scale_name(scale), [&] {
      if (job.kind == JobKind::train)
        resolve_options(job.settings(scale));
      else
        check_probe_settings(job.settings(scale));
    });
}

// Of a train job what every run reports; tasks and connections add to train. and test. only.
void check_train_metric(const std::string& where, const std::string& job,
                        const std::string& metric) {
  static const std::vector<std::string> kMetrics{
      "best",       "seconds", "step_seconds", "steps",
      "parameters", "macs",    "diverged",     "trainable_parameters"};
  if (metric.starts_with("train.") || metric.starts_with("test.")) return;
  if (std::find(kMetrics.begin(), kMetrics.end(), metric) != kMetrics.end()) return;
  std::string hint = nearest_names_hint(metric, kMetrics);
  refuse_recipe(where, fmt::format("the job {} has no metric {}", job, metric),
                fmt::format("{}, train.* or test.*", fmt::join(kMetrics, ", ")), {}, hint);
}

void check_claim(const Recipe& recipe, size_t index) {
  const RecipeClaim& claim = recipe.claims[index];
  const std::string where =
      claim.name.empty() ? fmt::format("claim[{}]", index) : "claim." + claim.name;
  need_text(where + ".name", claim.name);
  need_text(where + ".text", claim.text);
  need_text(where + ".value", claim.value);
  for (size_t i = 0; i < index; ++i)
    if (recipe.claims[i].name == claim.name) refuse_recipe(where, "is there twice");
  if (!claim.at_least && !claim.at_most)
    refuse_recipe(where, "has no bound", "at_least, at_most, or both");
  std::vector<std::string> jobs;
  for (const RecipeJob& job : recipe.jobs) jobs.push_back(job.name);
  for (const std::string& variable : claim_variables(claim.value, where + ".value")) {
    const auto [job_name, metric] = split_variable(variable, where + ".value");
    const RecipeJob* job = recipe.find_job(job_name);
    if (job == nullptr)
      refuse_recipe(where + ".value", fmt::format("{} is no job of the recipe", job_name),
                    fmt::format("{}", fmt::join(jobs, ", ")), {},
                    nearest_names_hint(job_name, jobs));
    if (job->kind == JobKind::train) check_train_metric(where + ".value", job_name, metric);
    for (const Scale scale : claim.scales)
      if (!job->runs_at(scale))
        refuse_recipe(where, fmt::format("speaks at the scale {} of the job {}, which does not run "
                                         "there",
                                         scale_name(scale), job_name));
  }
}

}  // namespace

void check_component(const std::string& component) {
  static const std::vector<std::string> kKinds{"connection", "model", "optimizer", "schedule",
                                               "dataset",    "probe", "memory"};
  const size_t slash = component.find('/');
  const std::string kind = component.substr(0, slash);
  const std::string name = slash == std::string::npos ? "" : component.substr(slash + 1);
  if (kind == "connection") return find_in(connections(), kind, name);
  if (kind == "model") return find_in(models(), kind, name);
  if (kind == "optimizer") return find_in(optimizers(), kind, name);
  if (kind == "schedule") return find_in(schedules(), kind, name);
  if (kind == "dataset") return find_in(datasets(), kind, name);
  if (kind == "probe") return find_in(probes(), kind, name);
  if (kind == "memory") return find_in(memory_planners(), kind, name);
  throw Error(ErrorKind::not_found,
              {.where = component,
               .rule = "is no kind of component and name",
               .expected = fmt::format("{}, then / and a name", fmt::join(kKinds, ", ")),
               .hint = nearest_names_hint(kind, kKinds)});
}

void check_recipe(const Recipe& recipe) {
  check_head(recipe);
  if (recipe.jobs.empty()) refuse_recipe("job", "there must be one at least");
  for (size_t i = 0; i < recipe.jobs.size(); ++i) check_job(recipe, i);
  for (const Scale scale : kScales)
    if (recipe.jobs_at(scale).empty())
      refuse_recipe("job", fmt::format("none runs at the scale {}", scale_name(scale)));
  for (size_t i = 0; i < recipe.claims.size(); ++i) check_claim(recipe, i);
}

}  // namespace residua
