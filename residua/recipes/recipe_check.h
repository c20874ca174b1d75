#pragma once
// What must hold of a recipe beyond its types.

#include "residua/recipes/recipe.h"

namespace residua {

// Throws an Error whose place is the key in the file.
void check_recipe(const Recipe& recipe);

}  // namespace residua
