#pragma once
// The gallery: one page with every paper, its verdicts, curves and diagrams, made from the recipes
// and the results.
//
//   std::vector<std::string> refused;
//   write_gallery("report.html", gallery_data(read_recipes("papers"), "results", refused));

#include <string>
#include <vector>

#include "residua/core/json.h"
#include "residua/recipes/recipe.h"

namespace residua {

// {title, papers, comparisons, refused}; what cannot be read is told in `refused`, here and there.
Json gallery_data(const RecipeFolder& folder, const std::string& results,
                  std::vector<std::string>& refused);

// How the connections of the recipe's jobs describe themselves: {title, streams, begin, read,
// merge, finish}, each once.
Json connection_diagrams(const Recipe& recipe);

std::string render_gallery(const Json& data);
void write_gallery(const std::string& file, const Json& data);

}  // namespace residua
