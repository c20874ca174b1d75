#pragma once
// A recipe is one published system as a text file, papers/<slug>.toml: what it is, the jobs that
// show it at three scales, and the claims that are checked on their metrics.
//
//   Recipe recipe = read_recipe("papers/stochastic-depth.toml");
//   Json settings = recipe.jobs[0].settings(Scale::smoke);   // as `residua train` takes them

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "residua/core/json.h"
#include "residua/core/options.h"

namespace residua {

// smoke: seconds, embedded or generated data. small: minutes on two cores. full: the paper's.
enum class Scale { smoke, small, full };
template <>
struct EnumNames<Scale> {
  static constexpr std::array names{"smoke", "small", "full"};
};
inline constexpr std::array kScales{Scale::smoke, Scale::small, Scale::full};
std::string scale_name(Scale scale);

// A bench is a probe whose result is never kept, since it measures this machine.
enum class JobKind { train, probe, bench };
template <>
struct EnumNames<JobKind> {
  static constexpr std::array names{"train", "probe", "bench"};
};

struct RecipeJob {
  std::string name, label;
  JobKind kind = JobKind::train;
  std::string from;          // train: the job whose weights it begins with
  std::string of;            // probe, bench: the train job whose weights it looks at
  bool may_diverge = false;  // a loss that is not finite is a result
  std::vector<Scale> scales{kScales.begin(), kScales.end()};
  Json config = Json::object();
  std::array<Json, kScales.size()> changes = {};  // by scale, keys may be dotted

  bool runs_at(Scale scale) const;
  // The configuration with the changes of the scale.
  Json settings(Scale scale) const;
  // The job that must have run before, or empty.
  const std::string& source() const { return kind == JobKind::train ? from : of; }
};

struct RecipeClaim {
  std::string name, text, paper;
  std::string value;  // an expression over JOB.METRIC
  std::optional<double> at_least = {}, at_most = {};
  std::vector<Scale> scales{Scale::small, Scale::full};

  bool speaks_at(Scale scale) const;
};

struct Recipe {
  std::string file = {};
  std::string slug = {}, title = {}, authors = {}, arxiv = {}, family = {}, kind = {};
  std::string summary = {}, implemented = {}, checked = {}, reference = {};
  std::string findings =
      {};  // what the runs showed, and the likely reason where a claim did not hold
  int64_t year = 0;
  std::vector<std::string> components = {};
  std::vector<RecipeJob> jobs = {};
  std::vector<RecipeClaim> claims = {};
  std::array<int64_t, kScales.size()> seeds{1, 2, 3};

  const RecipeJob* find_job(const std::string& name) const;  // null: there is none
  std::vector<const RecipeJob*> jobs_at(Scale scale) const;
  int64_t seeds_at(Scale scale) const { return seeds[static_cast<size_t>(scale)]; }
};

// Reads and checks a recipe completely, without opening data: keys, types, components, the settings
// of every job at every scale, and the jobs and metrics that claims speak of. Throws
// ErrorKind::invalid_argument or not_found that begins with the file and the key.
Recipe read_recipe(const std::string& file);

// Every *.toml of a folder, by slug; those that cannot be read are told apart.
struct RecipeFolder {
  struct Malformed {
    std::string file, family;  // the family where it can be read
    std::string sentence;
  };
  std::vector<Recipe> recipes;
  std::vector<Malformed> malformed;
};

// Throws ErrorKind::not_found when there is no such folder.
RecipeFolder read_recipes(const std::string& folder);

// The recipe papers/<slug>.toml. Throws ErrorKind::not_found with the nearest names.
Recipe find_recipe(const std::string& folder, const std::string& slug);

// "connection/identity" must be a name of its registry. Throws with the nearest names.
void check_component(const std::string& component);

}  // namespace residua
