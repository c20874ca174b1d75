#pragma once
// Where the recipes are.

#include <string>

namespace residua::app {

// `named` where it is not empty; else share/residua/papers beside an installed program, else the
// papers/ of the sources that this program was built from.
std::string papers_folder(const std::string& named);

}  // namespace residua::app
