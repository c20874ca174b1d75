#include "app/settings.h"

namespace residua::app {

std::string settings_help(const std::string&) { return {}; }
std::string settings_markdown(const std::string&) { return {}; }
std::vector<std::string> setting_keys(const std::string&) { return {}; }

}  // namespace residua::app
