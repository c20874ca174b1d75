#pragma once
// What a reproduction of a recipe found: results/<slug>.<scale>.json.
//
//   {"engine": 1, "slug": ..., "scale": "small", "recipe": ..., "seeds": 2, "finished": ...,
//    "seconds": ..., "verdict": "held", "environment": {...},
//    "jobs": [{"name", "label", "kind", "runs": [{"seed", "cached", "seconds", "configuration",
//              "metrics", "series"} or {"seed", "failed": reason}]}],
//    "claims": [{"name", "text", "paper", "value", "at_least", "at_most", "verdict", "values",
//                "mean", "error", "says"}]}

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "residua/core/json.h"
#include "residua/recipes/claim.h"
#include "residua/recipes/job_result.h"
#include "residua/recipes/recipe.h"

namespace residua {

// One job at one seed.
struct JobRun {
  int64_t seed = 0;
  bool cached = false;
  JobResult result = {};
  std::string failed = {};  // the reason; empty: it did not
};

struct JobRuns {
  const RecipeJob* job = nullptr;
  std::vector<JobRun> runs = {};  // by seed
};

struct ClaimResult {
  const RecipeClaim* claim = nullptr;
  Judgement judgement = {};
};

// A claim's value of every seed; failed when a job it speaks of failed or lacks the metric.
ClaimResult check_claim_on(const RecipeClaim& claim, const std::vector<JobRuns>& jobs);

// "failed" where a claim or a job failed, else "not held" where one claim is, else "inconclusive"
// where one is; "none" without claims.
std::string verdict_of_all(const std::vector<ClaimResult>& claims,
                           const std::vector<JobRuns>& jobs);

// Hash of the jobs and claims at the scale: results of another form of the recipe are told by it.
std::string recipe_form(const Recipe& recipe, Scale scale);

Json make_results(const Recipe& recipe, Scale scale, const std::vector<JobRuns>& jobs,
                  const Json& environment, double seconds);

std::string results_file(const std::string& folder, const std::string& slug, Scale scale);

// Throws ErrorKind::unsupported for results that another version of the engine wrote,
// ErrorKind::corrupt_file for another content.
Json read_results(const std::string& file);

// Of a recipe: its results at every scale where there are some. Files that cannot be read are told
// in `refused`.
std::map<Scale, Json> read_all_results(const std::string& folder, const std::string& slug,
                                       std::vector<std::string>& refused);

// Those of the largest scale with a verdict, whose verdict is the recipe's; null: there are none.
const Json* last_verdict(const std::map<Scale, Json>& results);

}  // namespace residua
