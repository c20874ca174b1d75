// The commands around recipes: reproduce, papers, report, compare.

#include "app/command_parts.h"

namespace residua::app {

namespace {

void add_papers_folder(CLI::App* command, RecipePlaces& places) {
  command->add_option("--papers", places.papers, "folder of recipes instead of the program's own")
      ->type_name("FOLDER");
}

void add_results_folder(CLI::App* command, std::string& results, const char* help) {
  command->add_option("--results", results, help)->type_name("FOLDER")->capture_default_str();
}

void add_running(CLI::App* command, std::string& cache, int64_t& threads) {
  command->add_option("--cache", cache, "folder of finished and interrupted runs")
      ->type_name("FOLDER")
      ->capture_default_str();
  in_range(
      command->add_option("--threads", threads, "that compute; 0: as many as this process may use"),
      0, 4096)
      ->type_name("N")
      ->capture_default_str();
}

void add_reproduce(CLI::App& app, ReproduceArguments& a) {
  auto* c = add_command(app, "reproduce", "run the recipes of papers and check their claims",
                        "residua reproduce stochastic-depth --scale smoke\n"
                        "residua reproduce --family connections --seeds 3");
  c->add_option("SLUG", a.slugs, "names of recipes")->type_name("[SLUG]...");
  c->add_option("--family", a.family, "all recipes of a family")->type_name("FAMILY");
  one_of(c->add_option("--scale", a.scale,
                       "smoke takes seconds, small minutes on two cores, full is the paper's"),
         {"smoke", "small", "full"})
      ->capture_default_str();
  in_range(c->add_option("--seeds", a.seeds, "runs of each job; 0: as the recipe says"), 0, 1000)
      ->type_name("N")
      ->capture_default_str();
  c->add_flag("--fresh", a.fresh, "run again what is in the cache");
  add_running(c, a.cache, a.threads);
  add_papers_folder(c, a.places);
  add_results_folder(c, a.places.results, "folder that the results are written to");
  add_json(c, a.json);
}

void add_papers(CLI::App& app, PapersArguments& a) {
  auto* c = add_command(app, "papers", "list the papers of the collection, or explain one",
                        "residua papers --family connections --verdict held\n"
                        "residua papers 'neural-*'\nresidua papers stochastic-depth");
  c->add_option("PATTERN", a.pattern, "a paper's name, or a shell pattern that names must match")
      ->type_name("PATTERN")
      ->capture_default_str();
  c->add_option("--family", a.family, "only papers of this family")->type_name("FAMILY");
  one_of(c->add_option("--verdict", a.verdict, "only papers with this last verdict"),
         {"held", "not-held", "inconclusive", "failed", "none"});
  add_papers_folder(c, a.places);
  add_results_folder(c, a.places.results, "folder that results are read from");
  add_json(c, a.json);
  c->add_flag("--markdown", a.markdown,
              "print the claims with their verdicts as a page of Markdown");
}

void add_report(CLI::App& app, ReportArguments& a) {
  auto* c = add_command(app, "report", "write the gallery of papers and results as one page",
                        "residua report --out gallery.html");
  c->add_option("--out", a.out, "the file to write")->type_name("FILE")->capture_default_str();
  add_papers_folder(c, a.places);
  add_results_folder(c, a.places.results, "folder that results are read from");
}

void add_compare(CLI::App& app, CompareArguments& a, std::vector<std::string>& words) {
  auto* c = add_command(app, "compare",
                        "train everything that a network can take on the same budget, and compare",
                        "residua compare connections --carrier resnet20 --data cifar10 --epochs 5\n"
                        "residua compare connections --carrier vit-tiny --only identity,scaled");
  one_of(c->add_option("WHAT", a.what, "what is exchanged"), {"connections"})->required();
  c->add_option("SETTINGS", words, "of the training, the same for all")
      ->type_name("[key=value]...");
  one_of(c->add_option("--carrier", a.carrier, "the network that takes them"),
         {"resnet20", "vit-tiny", "gpt-mini"})
      ->required();
  c->add_option("--data", a.data, "name of the data set; without it the carrier's own")
      ->type_name("NAME");
  in_range(c->add_option("--epochs", a.epochs, "the budget; 0: the carrier's own"), 0, 1000000)
      ->type_name("N")
      ->capture_default_str();
  c->add_option("--only", a.only, "these, separated by commas")
      ->type_name("NAME,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  add_running(c, a.cache, a.threads);
  add_results_folder(c, a.results, "folder that the comparison is written to");
  add_json(c, a.json);
}

}  // namespace

void add_recipe_commands(CLI::App& app, Invocation& asked, std::vector<std::string>& words) {
  add_reproduce(app, asked.reproduce);
  add_papers(app, asked.papers);
  add_report(app, asked.report);
  add_compare(app, asked.compare, words);
}

}  // namespace residua::app
