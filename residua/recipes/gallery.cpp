#include "residua/recipes/gallery.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "residua/core/error.h"
#include "residua/io/atomic_file.h"
#include "residua/io/page.h"
#include "residua/recipes/compare.h"
#include "residua/recipes/gallery_template.h"
#include "residua/recipes/results.h"

namespace residua {

namespace {

// Configurations are long and not shown.
Json without_configurations(Json results) {
  for (Json& job : results.at("jobs"))
    for (Json& run : job.at("runs")) run.erase("configuration");
  return results;
}

Json paper_of(const Recipe& r, const std::map<Scale, Json>& all) {
  const Json* last = last_verdict(all);
  Json results = Json::object();
  for (const auto& [scale, found] : all) {
    Json shown = without_configurations(found);
    shown["of_this_recipe"] = found.at("recipe") == recipe_form(r, scale);
    results[scale_name(scale)] = std::move(shown);
  }
  return {{"slug", r.slug},
          {"title", r.title},
          {"year", r.year},
          {"authors", r.authors},
          {"arxiv", r.arxiv},
          {"reference", r.reference},
          {"family", r.family},
          {"kind", r.kind},
          {"summary", r.summary},
          {"implemented", r.implemented},
          {"checked", r.checked},
          {"findings", r.findings},
          {"components", r.components},
          {"verdict", last == nullptr ? Json("none") : last->at("verdict")},
          {"scale", last == nullptr ? Json("") : last->at("scale")},
          {"diagrams", connection_diagrams(r)},
          {"results", std::move(results)}};
}

Json read_comparisons(const std::string& folder, std::vector<std::string>& refused) {
  std::error_code missing;
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder, missing))
    if (is_comparison_file(entry.path())) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  Json list = Json::array();
  for (const std::string& file : files) {
    try {
      list.push_back(read_comparison(file));
    } catch (const Error& e) {
      refused.emplace_back(e.what());
    }
  }
  return list;
}

}  // namespace

Json gallery_data(const RecipeFolder& folder, const std::string& results,
                  std::vector<std::string>& refused) {
  Json papers = Json::array();
  for (const auto& malformed : folder.malformed) refused.push_back(malformed.sentence);
  for (const Recipe& recipe : folder.recipes)
    papers.push_back(paper_of(recipe, read_all_results(results, recipe.slug, refused)));
  Json comparisons = read_comparisons(results, refused);
  return {{"title", "Papers"},
          {"papers", std::move(papers)},
          {"comparisons", std::move(comparisons)},
          {"refused", refused}};
}

std::string render_gallery(const Json& data) {
  return fill_page(gallery_template(), data.at("title").get<std::string>(), data);
}

void write_gallery(const std::string& file, const Json& data) {
  write_file_atomic(file, render_gallery(data));
}

}  // namespace residua
