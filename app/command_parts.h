#pragma once
// What the descriptions of commands are made of.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "app/command_line.h"

namespace residua::app {

// The choices are the value's name in help and what completion offers.
CLI::Option* one_of(CLI::Option* option, const std::vector<std::string>& names);
CLI::Option* in_range(CLI::Option* option, int64_t min, int64_t max);
CLI::App* add_command(CLI::App& app, const char* name, const char* summary, const char* examples);
void add_json(CLI::App* command, bool& json, const char* help = "print JSON instead of text");

// reproduce, papers, report and compare; `words` takes settings.
void add_recipe_commands(CLI::App& app, Invocation& asked, std::vector<std::string>& words);

// run and bench; `words` takes inputs and settings.
void add_runtime_commands(CLI::App& app, Invocation& asked, std::vector<std::string>& words);

}  // namespace residua::app
