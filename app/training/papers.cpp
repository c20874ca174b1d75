// `residua papers`

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

#include "app/commands.h"
#include "app/training/papers_folder.h"
#include "app/training/papers_markdown.h"
#include "residua/core/error.h"
#include "residua/recipes/results.h"

namespace residua::app {

namespace {

struct Paper {
  Recipe recipe;
  std::map<Scale, Json> results;

  const Json* last() const { return last_verdict(results); }
  std::string verdict() const {
    return last() == nullptr ? "none" : last()->at("verdict").get<std::string>();
  }
};

std::string verdict_line(const Paper& paper) {
  const Json* last = paper.last();
  if (last == nullptr) return "none";
  return fmt::format("{} ({}, {} seed{})", paper.verdict(), last->at("scale").get<std::string>(),
                     last->at("seeds").get<int64_t>(), last->at("seeds") == 1 ? "" : "s");
}

bool is_stale(const Recipe& recipe, Scale scale, const Json& results) {
  return results.at("recipe") != recipe_form(recipe, scale);
}

Json paper_to_json(const Paper& p) {
  const Recipe& r = p.recipe;
  Json json{{"slug", r.slug},         {"title", r.title},           {"year", r.year},
            {"authors", r.authors},   {"arxiv", r.arxiv},           {"family", r.family},
            {"kind", r.kind},         {"summary", r.summary},       {"implemented", r.implemented},
            {"checked", r.checked},   {"components", r.components}, {"reference", r.reference},
            {"findings", r.findings}, {"verdict", p.verdict()}};
  json["results"] = Json::array();
  for (const auto& [scale, results] : p.results)
    json["results"].push_back({{"scale", scale_name(scale)},
                               {"verdict", results.at("verdict")},
                               {"seeds", results.at("seeds")},
                               {"finished", results.at("finished")},
                               {"of_this_recipe", !is_stale(r, scale, results)},
                               {"claims", results.at("claims")}});
  return json;
}

// Text of several lines, indented.
void print_paragraph(std::string_view title, const std::string& text) {
  constexpr size_t kWidth = 96;
  fmt::print("\n{}\n", title);
  const std::string indent(1, ' ');
  std::string line = indent;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = text.find_first_not_of(" \n", at);
    if (begin == std::string::npos) break;
    const size_t end = std::min(text.find_first_of(" \n", begin), text.size());
    if (line.size() + 1 + end - begin > kWidth) {
      fmt::print("{}\n", line);
      line = indent;
    }
    line.append(1, ' ').append(text, begin, end - begin);
    at = end;
  }
  fmt::print("{}\n", line);
}

void print_results(const Paper& p, Scale scale, const Json& results) {
  fmt::print("\nVerdict at scale {}: {} ({} seeds, {}{})\n", scale_name(scale),
             results.at("verdict").get<std::string>(), results.at("seeds").get<int64_t>(),
             results.at("finished").get<std::string>(),
             is_stale(p.recipe, scale, results) ? "; the recipe has changed since" : "");
  for (const Json& claim : results.at("claims")) {
    fmt::print("  {:<13} {}\n", claim.at("verdict").get<std::string>(),
               claim.at("text").get<std::string>());
    fmt::print("  {:<13} measured {}; paper: {}\n", "", claim.at("says").get<std::string>(),
               claim.at("paper").get<std::string>());
  }
}

void print_paper(const Paper& p) {
  const Recipe& r = p.recipe;
  fmt::print("{}\n{}, {}. {}, {}.", r.title, r.authors, r.year, r.family, r.kind);
  if (!r.arxiv.empty()) fmt::print(" https://arxiv.org/abs/{}", r.arxiv);
  if (!r.reference.empty()) fmt::print("\nReference: https://github.com/{}", r.reference);
  fmt::print("\n");
  print_paragraph("What it is", r.summary);
  print_paragraph("What is implemented", r.implemented);
  print_paragraph("How it is checked", r.checked);
  fmt::print("\nComponents\n");
  for (const std::string& component : r.components) fmt::print("  {}\n", component);
  fmt::print("\nClaims\n");
  for (const RecipeClaim& claim : r.claims) fmt::print("  {}: {}\n", claim.name, claim.text);
  for (const auto& [scale, results] : p.results) print_results(p, scale, results);
  if (!r.findings.empty()) print_paragraph("What was found", r.findings);
  if (p.results.empty())
    fmt::print("\nNo results yet: `residua reproduce {} --scale smoke` makes some.\n", r.slug);
}

void print_list(const std::vector<Paper>& papers) {
  size_t slug = 0, family = 0, verdict = 0;
  for (const Paper& p : papers) {
    slug = std::max(slug, p.recipe.slug.size());
    family = std::max(family, p.recipe.family.size());
    verdict = std::max(verdict, verdict_line(p).size());
  }
  for (const Paper& p : papers)
    fmt::print("{:<{}}  {}  {:<{}}  {:<{}}  {}\n", p.recipe.slug, slug, p.recipe.year,
               p.recipe.family, family, verdict_line(p), verdict, p.recipe.title);
}

}  // namespace

int papers(const PapersArguments& a) {
  const RecipeFolder folder = read_recipes(papers_folder(a.places.papers));
  std::vector<std::string> refused;
  for (const auto& malformed : folder.malformed) refused.push_back(malformed.sentence);
  std::vector<Paper> chosen;
  std::vector<std::string> slugs;
  const std::string verdict = a.verdict == "not-held" ? "not held" : a.verdict;
  bool one = false;
  for (const Recipe& recipe : folder.recipes) {
    slugs.push_back(recipe.slug);
    one = one || recipe.slug == a.pattern;
    if (fnmatch(a.pattern.c_str(), recipe.slug.c_str(), 0) != 0) continue;
    if (!a.family.empty() && recipe.family != a.family) continue;
    Paper paper{recipe, read_all_results(a.places.results, recipe.slug, refused)};
    if (a.verdict.empty() || paper.verdict() == verdict) chosen.push_back(std::move(paper));
  }
  if (a.json) {
    Json list = Json::array();
    for (const Paper& paper : chosen) list.push_back(paper_to_json(paper));
    fmt::print("{}\n", (one && chosen.size() == 1 ? list[0] : list).dump(1));
  } else if (a.markdown) {
    std::vector<PaperVerdict> verdicts;
    for (const Paper& paper : chosen) verdicts.push_back({&paper.recipe, paper.last()});
    fmt::print("{}", verdicts_to_markdown(verdicts));
  } else if (one && chosen.size() == 1) {
    print_paper(chosen.front());
  } else {
    print_list(chosen);
  }
  for (const std::string& sentence : refused) fmt::print(stderr, "residua: {}\n", sentence);
  if (chosen.empty() && refused.empty())
    throw Error(ErrorKind::not_found, {.where = a.pattern,
                                       .rule = "matches no paper with these filters",
                                       .hint = nearest_names_hint(a.pattern, slugs)});
  return refused.empty() ? 0 : 2;
}

}  // namespace residua::app
