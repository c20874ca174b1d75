#include "residua/recipes/results.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "residua/core/error.h"
#include "residua/io/sha256.h"

namespace residua {

namespace {

double metric_of(const std::vector<JobRuns>& jobs, const std::string& variable, size_t seed) {
  const auto [name, metric] = split_variable(variable, "claim");
  const auto job = std::find_if(jobs.begin(), jobs.end(),
                                [&name = name](const JobRuns& j) { return j.job->name == name; });
  if (job == jobs.end())
    throw Error(ErrorKind::not_found, {.rule = "the job " + name + " did not run"});
  const JobRun& run = job->runs.at(seed);
  if (!run.failed.empty())
    throw Error(ErrorKind::not_found, {.rule = fmt::format("the job {} failed at seed {}: {}", name,
                                                           run.seed, run.failed)});
  std::vector<std::string> known;
  for (const auto& [key, value] : run.result.metrics) {
    if (key == metric) return value;
    known.push_back(key);
  }
  std::string hint = nearest_names_hint(metric, known);
  if (hint.empty()) hint = fmt::format("it has {}", fmt::join(known, ", "));
  throw Error(ErrorKind::not_found,
              {.rule = fmt::format("the job {} has no metric {}", name, metric), .hint = hint});
}

Json run_to_json(const JobRun& run) {
  if (!run.failed.empty()) return {{"seed", run.seed}, {"failed", run.failed}};
  Json json{{"seed", run.seed}, {"cached", run.cached}};
  json.update(job_result_to_json(run.result));
  return json;
}

Json jobs_to_json(const std::vector<JobRuns>& jobs) {
  Json list = Json::array();
  for (const JobRuns& j : jobs) {
    Json runs = Json::array();
    for (const JobRun& run : j.runs) runs.push_back(run_to_json(run));
    list.push_back({{"name", j.job->name},
                    {"label", j.job->label},
                    {"kind", EnumNames<JobKind>::names[static_cast<size_t>(j.job->kind)]},
                    {"runs", std::move(runs)}});
  }
  return list;
}

Json claim_to_json(const ClaimResult& c) {
  Json values = Json::array();
  for (const double v : c.judgement.values) values.push_back(number_to_json(v));
  Json json{{"name", c.claim->name},
            {"text", c.claim->text},
            {"paper", c.claim->paper},
            {"value", c.claim->value}};
  if (c.claim->at_least) json["at_least"] = *c.claim->at_least;
  if (c.claim->at_most) json["at_most"] = *c.claim->at_most;
  json["verdict"] = verdict_name(c.judgement.verdict);
  json["values"] = std::move(values);
  json["mean"] = number_to_json(c.judgement.mean);
  json["error"] = number_to_json(c.judgement.error);
  json["says"] = judgement_text(*c.claim, c.judgement);
  return json;
}

std::string utc_now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

}  // namespace

ClaimResult check_claim_on(const RecipeClaim& claim, const std::vector<JobRuns>& jobs) {
  ClaimResult result{.claim = &claim};
  const size_t seeds = jobs.empty() ? 0 : jobs.front().runs.size();
  try {
    std::vector<double> values;
    for (size_t seed = 0; seed < seeds; ++seed)
      values.push_back(evaluate_claim(claim.value, [&](const std::string& variable) {
        return metric_of(jobs, variable, seed);
      }));
    result.judgement = judge_claim(claim, std::move(values));
  } catch (const Error& e) {
    result.judgement.reason = e.what();
  }
  return result;
}

std::string verdict_of_all(const std::vector<ClaimResult>& claims,
                           const std::vector<JobRuns>& jobs) {
  for (const JobRuns& j : jobs)
    for (const JobRun& run : j.runs)
      if (!run.failed.empty()) return verdict_name(Verdict::failed);
  for (const Verdict verdict : {Verdict::failed, Verdict::not_held, Verdict::inconclusive})
    for (const ClaimResult& c : claims)
      if (c.judgement.verdict == verdict) return verdict_name(verdict);
  return claims.empty() ? "none" : verdict_name(Verdict::held);
}

std::string recipe_form(const Recipe& recipe, Scale scale) {
  Json form = Json::array();
  for (const RecipeJob* job : recipe.jobs_at(scale))
    form.push_back({job->name, job->kind, job->settings(scale), job->source(), job->may_diverge});
  for (const RecipeClaim& claim : recipe.claims)
    if (claim.speaks_at(scale))
      form.push_back({claim.name, claim.value, claim.at_least.value_or(0),
                      claim.at_least.has_value(), claim.at_most.value_or(0),
                      claim.at_most.has_value()});
  const std::string text = json_text(form);
  return sha256_hex(std::as_bytes(std::span(text)));
}

Json make_results(const Recipe& recipe, Scale scale, const std::vector<JobRuns>& jobs,
                  const Json& environment, double seconds) {
  std::vector<ClaimResult> claims;
  for (const RecipeClaim& claim : recipe.claims)
    if (claim.speaks_at(scale)) claims.push_back(check_claim_on(claim, jobs));
  Json list = Json::array();
  for (const ClaimResult& c : claims) list.push_back(claim_to_json(c));
  return {{"engine", kRecipeEngineVersion},
          {"slug", recipe.slug},
          {"scale", scale_name(scale)},
          {"recipe", recipe_form(recipe, scale)},
          {"seeds", jobs.empty() ? 0 : jobs.front().runs.size()},
          {"finished", utc_now()},
          {"seconds", seconds},
          {"verdict", verdict_of_all(claims, jobs)},
          {"environment", environment},
          {"claims", std::move(list)},
          {"jobs", jobs_to_json(jobs)}};
}

std::string results_file(const std::string& folder, const std::string& slug, Scale scale) {
  return fmt::format("{}/{}.{}.json", folder, slug, scale_name(scale));
}

Json read_results(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw_io_error(file, "read the file", errno);
  std::ostringstream text;
  text << stream.rdbuf();
  Json json = parse_json(text.str(), file);
  if (!json.is_object() || !json.contains("engine") || !json.contains("slug"))
    throw Error(ErrorKind::corrupt_file, {.where = file, .rule = "holds no results of a recipe"});
  if (json.at("engine") != kRecipeEngineVersion)
    throw Error(ErrorKind::unsupported,
                {.where = file,
                 .rule = "was written by another version of the recipe engine",
                 .expected = std::to_string(kRecipeEngineVersion),
                 .received = json_text(json.at("engine")),
                 .hint = fmt::format("`residua reproduce {} --scale {}` writes it again",
                                     json.value("slug", "SLUG"), json.value("scale", "smoke"))});
  return json;
}

std::map<Scale, Json> read_all_results(const std::string& folder, const std::string& slug,
                                       std::vector<std::string>& refused) {
  std::map<Scale, Json> all;
  for (const Scale scale : kScales) {
    const std::string file = results_file(folder, slug, scale);
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored)) continue;
    try {
      all[scale] = read_results(file);
    } catch (const Error& e) {
      refused.emplace_back(e.what());
    }
  }
  return all;
}

const Json* last_verdict(const std::map<Scale, Json>& results) {
  for (auto entry = results.rbegin(); entry != results.rend(); ++entry)
    if (entry->second.at("verdict") != "none") return &entry->second;
  return nullptr;
}

}  // namespace residua
