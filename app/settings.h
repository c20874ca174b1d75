#pragma once
// The key=value settings of a command, from the options description of the training library (which
// is free of libtorch).

#include <string>
#include <vector>

namespace residua::app {

// What follows the word key=value: where else settings may be, " or in the TOML file".
std::string settings_places(const std::string& command);
// One line per setting with range and default; empty for a command without settings.
std::string settings_help(const std::string& command);
std::string settings_markdown(const std::string& command);
std::vector<std::string> setting_keys(const std::string& command);

}  // namespace residua::app
