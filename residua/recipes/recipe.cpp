#include "residua/recipes/recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "residua/core/error.h"
#include "residua/recipes/recipe_check.h"

namespace residua {

namespace {

// The parts of the file that are written as they are; jobs and claims are read one by one.
struct RecipeHead {
  Recipe& r;
  void fields(Fields& f) {
    f.add("slug", r.slug, "name of the file");
    f.add("title", r.title, "of the paper");
    f.add("year", r.year, "of the paper", {.min = 1900, .max = 2100});
    f.add("authors", r.authors, "of the paper");
    f.add("arxiv", r.arxiv, "number of the paper");
    f.add("family", r.family, "family of the collection");
    f.add("kind", r.kind, "kind of system");
    f.add("summary", r.summary, "what it is");
    f.add("implemented", r.implemented, "what is here");
    f.add("checked", r.checked, "how");
    f.add("findings", r.findings, "what the runs showed");
    f.add("components", r.components, "registry kind / name");
    f.add("reference", r.reference, "public repository");
  }
};

// Scales in the file are words.
struct ScaleWords {
  std::vector<std::string> scales;
  std::vector<Scale> read(const std::string& where, std::vector<Scale> otherwise) const {
    if (scales.empty()) return otherwise;
    std::vector<Scale> list;
    const auto& names = EnumNames<Scale>::names;
    for (const std::string& word : scales) {
      const auto found = std::find(names.begin(), names.end(), word);
      if (found == names.end())
        throw Error(ErrorKind::invalid_argument, {.where = where + ".scales",
                                                  .rule = "has a scale that there is not",
                                                  .expected = "smoke, small, full",
                                                  .received = word,
                                                  .hint = nearest_names_hint(word, names)});
      list.push_back(static_cast<Scale>(found - names.begin()));
    }
    return list;
  }
};

struct JobHead {
  RecipeJob& job;
  ScaleWords words = {};
  void fields(Fields& f) {
    f.add("name", job.name, "of the job");
    f.add("label", job.label, "in tables and plots");
    f.add("kind", job.kind, "what is done");
    f.add("from", job.from, "job whose weights it begins with");
    f.add("of", job.of, "job whose weights it looks at");
    f.add("may_diverge", job.may_diverge, "a loss that is not finite is a result");
    f.add("scales", words.scales, "at which it runs");
  }
};

struct ClaimHead {
  RecipeClaim& claim;
  ScaleWords words = {};
  void fields(Fields& f) {
    f.add("name", claim.name, "of the claim");
    f.add("text", claim.text, "in words");
    f.add("value", claim.value, "expression over JOB.METRIC");
    f.add("at_least", claim.at_least, "bound of the value");
    f.add("at_most", claim.at_most, "bound of the value");
    f.add("paper", claim.paper, "the paper's number");
    f.add("scales", words.scales, "at which it is checked");
  }
};

struct ScaleHead {
  struct Seeds {
    int64_t& seeds;
    void fields(Fields& f) { f.add("seeds", seeds, "runs", {.min = 1, .max = 1000}); }
  };
  Seeds smoke, small, full;
  void fields(Fields& f) {
    f.add("smoke", smoke, "");
    f.add("small", small, "");
    f.add("full", full, "");
  }
};

// Takes `key` out of `values`; an empty object where it is not there.
Json take_table(Json& values, const std::string& key, const std::string& where) {
  if (!values.contains(key)) return Json::object();
  Json table = std::move(values[key]);
  values.erase(key);
  if (!table.is_object())
    throw Error(ErrorKind::invalid_argument, {.where = where,
                                              .rule = "must be a table",
                                              .expected = "{key = value, ...}",
                                              .received = json_text(table)});
  return table;
}

Json take_list(Json& values, const std::string& key) {
  if (!values.contains(key)) return Json::array();
  Json list = std::move(values[key]);
  values.erase(key);
  const auto is_table = [](const Json& item) { return item.is_object(); };
  if (!list.is_array() || !std::all_of(list.begin(), list.end(), is_table))
    throw Error(ErrorKind::invalid_argument,
                {.where = key, .rule = "must be written as [[" + key + "]] tables"});
  return list;
}

// "job.constant", or "job[2]" where the name is missing or no text.
std::string item_path(const std::string& list, const Json& item, size_t index) {
  if (item.contains("name") && item.at("name").is_string())
    return list + "." + item.at("name").get<std::string>();
  return fmt::format("{}[{}]", list, index);
}

RecipeJob read_job(Json item, const std::string& where) {
  RecipeJob job;
  job.config = take_table(item, "config", where + ".config");
  for (const Scale scale : kScales)
    job.changes[static_cast<size_t>(scale)] =
        take_table(item, scale_name(scale), where + "." + scale_name(scale));
  JobHead head{job};
  assign(describe(head), item, where);
  job.scales = head.words.read(where, job.scales);
  if (job.label.empty()) job.label = job.name;
  return job;
}

RecipeClaim read_claim(const Json& item, const std::string& where) {
  RecipeClaim claim;
  ClaimHead head{claim};
  assign(describe(head), item, where);
  claim.scales = head.words.read(where, claim.scales);
  return claim;
}

Recipe parse_recipe(const std::string& file, Json values) {
  Recipe recipe{.file = file};
  const Json jobs = take_list(values, "job"), claims = take_list(values, "claim");
  ScaleHead seeds{{recipe.seeds[0]}, {recipe.seeds[1]}, {recipe.seeds[2]}};
  assign(describe(seeds), take_table(values, "scale", "scale"), "scale");
  RecipeHead head{recipe};
  assign(describe(head), values);
  for (size_t i = 0; i < jobs.size(); ++i)
    recipe.jobs.push_back(read_job(jobs[i], item_path("job", jobs[i], i)));
  for (size_t i = 0; i < claims.size(); ++i)
    recipe.claims.push_back(read_claim(claims[i], item_path("claim", claims[i], i)));
  return recipe;
}

}  // namespace

std::string scale_name(Scale scale) { return EnumNames<Scale>::names[static_cast<size_t>(scale)]; }

bool RecipeJob::runs_at(Scale scale) const {
  return std::find(scales.begin(), scales.end(), scale) != scales.end();
}

Json RecipeJob::settings(Scale scale) const {
  Json merged = config;
  for (const auto& [key, value] : changes[static_cast<size_t>(scale)].items()) {
    Json nested = value;
    std::string rest = key;
    for (size_t dot = rest.rfind('.'); dot != std::string::npos; dot = rest.rfind('.')) {
      nested = Json{{rest.substr(dot + 1), std::move(nested)}};
      rest.resize(dot);
    }
    merge(merged, Json{{rest, std::move(nested)}});
  }
  return merged;
}

bool RecipeClaim::speaks_at(Scale scale) const {
  return std::find(scales.begin(), scales.end(), scale) != scales.end();
}

const RecipeJob* Recipe::find_job(const std::string& name) const {
  const auto found =
      std::find_if(jobs.begin(), jobs.end(), [&](const RecipeJob& j) { return j.name == name; });
  return found == jobs.end() ? nullptr : &*found;
}

std::vector<const RecipeJob*> Recipe::jobs_at(Scale scale) const {
  std::vector<const RecipeJob*> list;
  for (const RecipeJob& job : jobs)
    if (job.runs_at(scale)) list.push_back(&job);
  return list;
}

Recipe read_recipe(const std::string& file) {
  Json values = read_toml(file);
  try {
    Recipe recipe = parse_recipe(file, std::move(values));
    check_recipe(recipe);
    return recipe;
  } catch (const Error& e) {
    ErrorText text = e.text();
    text.where = text.where.empty() ? file : file + ": " + text.where;
    throw Error(e.kind(), text);
  }
}

namespace {

// The files of recipes in a folder, sorted.
std::vector<std::string> recipe_files(const std::string& folder) {
  std::error_code error;
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (entry.path().extension() == ".toml") files.push_back(entry.path());
  if (error)
    throw Error(ErrorKind::not_found, {.where = folder,
                                       .rule = "is no folder of recipes: " + error.message(),
                                       .hint = "--papers FOLDER says where they are"});
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

Recipe find_recipe(const std::string& folder, const std::string& slug) {
  std::vector<std::string> slugs;
  for (const std::string& file : recipe_files(folder)) {
    slugs.push_back(std::filesystem::path(file).stem());
    if (slugs.back() == slug) return read_recipe(file);
  }
  throw Error(ErrorKind::not_found, {.where = slug,
                                     .rule = "is not the name of a recipe in " + folder,
                                     .hint = nearest_names_hint(slug, slugs)});
}

RecipeFolder read_recipes(const std::string& folder) {
  RecipeFolder all;
  for (const std::string& file : recipe_files(folder)) {
    try {
      all.recipes.push_back(read_recipe(file));
    } catch (const Error& e) {
      std::string family;
      try {
        family = read_toml(file).value("family", std::string());
      } catch (const std::exception&) {  // then it may belong to any
      }
      all.malformed.push_back({file, family, e.what()});
    }
  }
  return all;
}

}  // namespace residua
