// `residua report`

#include <fmt/format.h>

#include "app/commands.h"
#include "app/training/papers_folder.h"
#include "residua/recipes/gallery.h"

namespace residua::app {

int report(const ReportArguments& a) {
  std::vector<std::string> refused;
  const Json data =
      gallery_data(read_recipes(papers_folder(a.places.papers)), a.places.results, refused);
  write_gallery(a.out, data);
  fmt::print("{}: {} papers, {} comparisons\n", a.out, data.at("papers").size(),
             data.at("comparisons").size());
  for (const std::string& sentence : refused) fmt::print(stderr, "residua: {}\n", sentence);
  return refused.empty() ? 0 : 2;
}

}  // namespace residua::app
