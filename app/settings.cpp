#include "app/settings.h"

#include "app/commands_runtime.h"
#include "residua/train/options.h"

namespace residua::app {

std::string settings_places(const std::string& command) {
  if (command == "run") return "; what they do not say, the model's file says";
  return command == "train" ? " or in the TOML file" : "";
}

std::string settings_help(const std::string& command) {
  if (RunSettings run; command == "run") return help_text(describe(run));
  TrainOptions options;
  return command == "train" ? help_text(describe(options)) : "";
}

std::string settings_markdown(const std::string& command) {
  if (RunSettings run; command == "run") return markdown_table(describe(run));
  TrainOptions options;
  return command == "train" ? markdown_table(describe(options)) : "";
}

std::vector<std::string> setting_keys(const std::string& command) {
  if (RunSettings run; command == "run") return dotted_keys(describe(run));
  if (command != "train" && command != "eval" && command != "predict" && command != "compare" &&
      command != "generate")
    return {};
  TrainOptions options;
  return dotted_keys(describe(options));
}

}  // namespace residua::app
