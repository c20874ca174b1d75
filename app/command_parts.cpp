#include "app/command_parts.h"

#include <fmt/format.h>

#include "residua/core/error.h"

namespace residua::app {

CLI::Option* one_of(CLI::Option* option, const std::vector<std::string>& names) {
  option->type_name(fmt::format("{}", fmt::join(names, "|")));
  return option->check([names](const std::string& value) -> std::string {
    if (std::find(names.begin(), names.end(), value) != names.end()) return {};
    const std::string hint = nearest_names_hint(value, names);
    return fmt::format("'{}' is not one of {}{}{}", value, fmt::join(names, ", "),
                       hint.empty() ? "" : "\n", hint);
  });
}

CLI::Option* in_range(CLI::Option* option, int64_t min, int64_t max) {
  return option->check(CLI::Range(min, max).description(""));
}

CLI::App* add_command(CLI::App& app, const char* name, const char* summary, const char* examples) {
  CLI::App* command = app.add_subcommand(name, summary);
  command->set_help_flag("-h,--help", "show this help");
  command->footer(examples);
  command->allow_extras();
  return command;
}

void add_json(CLI::App* command, bool& json, const char* help) {
  command->add_flag("--json", json, help);
}

}  // namespace residua::app
