#pragma once
// Runs the jobs of recipes, checks their claims and writes the results.
//
//   ReproduceOptions options{.scale = Scale::smoke};
//   Reproduction all = reproduce({read_recipe("papers/laurel.toml")}, options);

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "residua/core/json.h"
#include "residua/recipes/recipe.h"
#include "residua/recipes/run_job.h"

namespace residua {

// What happens, for a display.
struct ReproduceEvent {
  enum Kind { started, progress, finished, cached, failed } kind = started;
  std::string slug = {}, job = {};
  int64_t seed = 0;
  int64_t number = 0, total = 0;  // of this run, of all
  double fraction = 0;            // of a training, for progress
  double seconds = 0;             // that the run took
  std::string reason = {};        // why it failed
};

struct ReproduceOptions {
  Scale scale = Scale::small;
  std::optional<int64_t> seeds = {};  // nothing: as each recipe says
  std::string results = "results";    // folder of the result files
  JobRunOptions run = {};
  Json environment = Json::object();  // stored with the results
  std::function<void(const ReproduceEvent&)> tell = {};
};

struct Reproduction {
  bool stopped = false;       // then the recipes behind have no results
  std::vector<Json> results;  // in the order of the recipes
  std::vector<std::string>
      failures;  // "slug, job NAME, seed 0: reason", "slug, claim NAME: reason"
};

// A run that fails fails the claims over it; everything else still runs. Each recipe's results are
// written when its last job is done.
Reproduction reproduce(const std::vector<Recipe>& recipes, const ReproduceOptions& options);

}  // namespace residua
