#pragma once
// The command line's description as pages, and the pages in each form that is read: help, man page,
// Markdown and shell completion.

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

namespace residua::app {

struct ManualEntry {
  std::string name;   // "-h, --help", "--weights PATH", "MODEL"
  std::string help;   // one sentence
  std::string value;  // "PATH"; "bash|zsh" for choices; empty for flags
};

struct ManualPage {
  std::string command;  // "train"; empty for the program itself
  std::string summary;
  std::string usage = {};
  std::vector<ManualEntry> arguments = {}, options = {}, commands = {};
  std::vector<std::string> examples = {};
};

// The program's page first, then one per command.
std::vector<ManualPage> manual_pages(const CLI::App& app);

std::string help_page(const ManualPage& page, bool colours);
std::string man_page(const std::vector<ManualPage>& pages);
std::string markdown_manual(const std::vector<ManualPage>& pages);
std::string bash_completion(const std::vector<ManualPage>& pages);
std::string zsh_completion(const std::vector<ManualPage>& pages);

}  // namespace residua::app
