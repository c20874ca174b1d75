#pragma once
// The last verdicts of papers as a page of Markdown, from which docs/verdicts.md is made.

#include <string>
#include <vector>

#include "residua/recipes/recipe.h"

namespace residua::app {

struct PaperVerdict {
  const Recipe* recipe;
  const Json* results;  // null: there are none
};

std::string verdicts_to_markdown(const std::vector<PaperVerdict>& papers);

}  // namespace residua::app
