#include "app/training/papers_markdown.h"

#include <fmt/format.h>

namespace residua::app {

namespace {

// Text of one table cell.
std::string cell(std::string text) {
  for (size_t at = 0; (at = text.find_first_of("|\n", at)) != std::string::npos; at += 2)
    text.replace(at, 1, text[at] == '|' ? "\\|" : " ");
  return text;
}

std::string one_line(const std::string& text) {
  std::string line;
  bool space = false;
  for (const char c : text) {
    if (c == ' ' || c == '\n') {
      space = !line.empty();
      continue;
    }
    if (space) line += ' ';
    space = false;
    line += c;
  }
  return line;
}

// Of all runs, whether they were made for these results or lay in the cache.
double minutes_of_runs(const Json& results) {
  double seconds = 0;
  for (const Json& job : results.at("jobs"))
    for (const Json& run : job.at("runs")) seconds += run.value("seconds", 0.0);
  return seconds / 60;
}

std::string summary_row(const PaperVerdict& paper) {
  const Recipe& r = *paper.recipe;
  const std::string title = cell(fmt::format("[{}](#{})", r.title, r.slug));
  if (paper.results == nullptr) return fmt::format("| {} | {} | none | | |\n", title, r.year);
  const Json& results = *paper.results;
  int64_t held = 0;
  for (const Json& claim : results.at("claims")) held += claim.at("verdict") == "held";
  return fmt::format("| {} | {} | {} | {} of {} | {:.1f} |\n", title, r.year,
                     results.at("verdict").get<std::string>(), held, results.at("claims").size(),
                     minutes_of_runs(results));
}

std::string section(const PaperVerdict& paper) {
  const Recipe& r = *paper.recipe;
  std::string text = fmt::format("\n## {}\n\n{}, {}.", r.slug, r.title, r.year);
  if (!r.arxiv.empty()) text += fmt::format(" [arXiv:{0}](https://arxiv.org/abs/{0}).", r.arxiv);
  text += fmt::format(" {}\n", one_line(r.summary));
  if (paper.results == nullptr) return text;
  text += "\n| verdict | claim | measured | paper |\n| --- | --- | --- | --- |\n";
  for (const Json& claim : paper.results->at("claims"))
    text += fmt::format("| {} | {} | {} | {} |\n", claim.at("verdict").get<std::string>(),
                        cell(claim.at("text").get<std::string>()),
                        cell(claim.at("says").get<std::string>()),
                        cell(claim.at("paper").get<std::string>()));
  if (!r.findings.empty()) text += fmt::format("\n{}\n", one_line(r.findings));
  return text;
}

}  // namespace

std::string verdicts_to_markdown(const std::vector<PaperVerdict>& papers) {
  std::string text =
      "# Verdicts\n\nWhat became of the claims of the papers here, from the data files in "
      "`results/`. Written by `residua papers --markdown`;\n[recipes.md](recipes.md) says how a "
      "claim is judged.\n\n| paper | year | verdict | claims held | minutes of all runs |\n| --- | "
      "--- | --- | "
      "--- | ---: |\n";
  for (const PaperVerdict& paper : papers) text += summary_row(paper);
  for (const PaperVerdict& paper : papers) text += section(paper);
  return text;
}

}  // namespace residua::app
