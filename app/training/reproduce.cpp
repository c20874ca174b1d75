// `residua reproduce`

#include "residua/recipes/reproduce.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "app/commands.h"
#include "app/training/papers_folder.h"
#include "app/training/reproduce_display.h"
#include "app/training/settings_values.h"
#include "residua/core/error.h"
#include "residua/train/progress.h"
#include "residua/train/stop_signal.h"

namespace residua::app {

namespace {

constexpr int kStopped = 130, kSomethingFailed = 2;

struct ChosenRecipes {
  std::vector<Recipe> recipes;
  std::vector<std::string> failures;  // sentences of those that cannot be read
};

void choose_family(const RecipeFolder& all, const std::string& family, ChosenRecipes& chosen) {
  std::vector<std::string> families;
  for (const Recipe& recipe : all.recipes) {
    families.push_back(recipe.family);
    if (recipe.family == family) chosen.recipes.push_back(recipe);
  }
  for (const auto& malformed : all.malformed)
    if (malformed.family == family || malformed.family.empty())
      chosen.failures.push_back(malformed.sentence);
  if (chosen.recipes.empty() && chosen.failures.empty()) {
    std::sort(families.begin(), families.end());
    families.erase(std::unique(families.begin(), families.end()), families.end());
    throw Error(ErrorKind::not_found, {.where = family,
                                       .rule = "is no family of recipes",
                                       .expected = fmt::format("{}", fmt::join(families, ", ")),
                                       .hint = nearest_names_hint(family, families)});
  }
}

ChosenRecipes choose_recipes(const ReproduceArguments& a) {
  if (a.slugs.empty() == a.family.empty())
    throw Error(ErrorKind::invalid_argument, {.where = "residua reproduce",
                                              .rule = "takes either names of recipes or --family",
                                              .hint = "`residua papers` lists them"});
  const std::string folder = papers_folder(a.places.papers);
  ChosenRecipes chosen;
  if (!a.family.empty()) {
    choose_family(read_recipes(folder), a.family, chosen);
    return chosen;
  }
  for (const std::string& slug : a.slugs) chosen.recipes.push_back(find_recipe(folder, slug));
  return chosen;
}

void print_claims(const Json& results) {
  fmt::print("\n{} at scale {}: {}\n", results.at("slug").get<std::string>(),
             results.at("scale").get<std::string>(), results.at("verdict").get<std::string>());
  for (const Json& claim : results.at("claims")) {
    fmt::print("  {:<13} {}: {}\n", claim.at("verdict").get<std::string>(),
               claim.at("name").get<std::string>(), claim.at("text").get<std::string>());
    fmt::print("  {:<13} measured {}\n", "", claim.at("says").get<std::string>());
    if (const auto paper = claim.at("paper").get<std::string>(); !paper.empty())
      fmt::print("  {:<13} paper: {}\n", "", paper);
  }
  if (results.at("claims").empty()) fmt::print("  no claim speaks at this scale\n");
}

Scale scale_of_name(const std::string& name) {
  const auto& names = EnumNames<Scale>::names;
  return static_cast<Scale>(std::find(names.begin(), names.end(), name) - names.begin());
}

void print_summary(const Reproduction& found, const ReproduceArguments& a) {
  if (a.json) {
    fmt::print(
        "{}\n",
        Json{{"results", found.results}, {"failures", found.failures}, {"stopped", found.stopped}}
            .dump(1));
    return;
  }
  for (const Json& results : found.results) print_claims(results);
  if (!found.failures.empty()) fmt::print("\nFailed:\n");
  for (const std::string& failure : found.failures) fmt::print("  {}\n", failure);
}

}  // namespace

int reproduce(const ReproduceArguments& a) {
  ChosenRecipes chosen = choose_recipes(a);
  use_threads(a.threads);
  const StopOnSignals signals;
  ReproduceOptions options{.scale = scale_of_name(a.scale)};
  if (a.seeds > 0) options.seeds = a.seeds;
  options.results = a.places.results;
  options.run.cache = a.cache;
  options.run.stop = StopOnSignals::requested;
  if (a.fresh) options.run.fresh_since = std::filesystem::file_time_type::clock::now();
  options.environment = measured_environment();
  ReproduceDisplay display(runs_to_come(chosen.recipes, options), isatty(STDERR_FILENO) == 1);
  options.tell = [&](const ReproduceEvent& event) { display.show(event); };

  Reproduction found = residua::reproduce(chosen.recipes, options);
  found.failures.insert(found.failures.begin(), chosen.failures.begin(), chosen.failures.end());
  print_summary(found, a);
  if (found.stopped) {
    fmt::print(stderr, "stopped; the same command goes on from here\n");
    return kStopped;
  }
  return found.failures.empty() ? 0 : kSomethingFailed;
}

}  // namespace residua::app
