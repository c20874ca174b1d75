#pragma once
// Finds and loads libresidua_commands, and with it libtorch, when the first command needs it.

#include "app/commands.h"

namespace residua::app {

// Loads at the first call. Looks at $RESIDUA_COMMANDS when it is set, else beside the program as
// built
// (../lib) and as installed (../<libdir>/residua). Throws ErrorKind::unsupported when there is
// none, as in a build without training, and ErrorKind::internal for one of another version.
const CommandTable& commands_library();

}  // namespace residua::app
