#include "app/manual.h"

#include <fmt/format.h>

#include <sstream>

#include "app/settings.h"
#include "app/terminal.h"
#include "app/version.h"

namespace residua::app {

namespace {

std::string default_of(const CLI::Option& option) {
  const std::string value = option.get_default_str();
  return value.empty() ? "" : fmt::format(" (default {})", value);
}

ManualEntry entry_of(const CLI::Option& option) {
  const bool takes_value = option.get_expected_max() > 0;
  std::string name;
  for (const std::string& s : option.get_snames()) name += (name.empty() ? "-" : ", -") + s;
  for (const std::string& l : option.get_lnames()) name += (name.empty() ? "--" : ", --") + l;
  const std::string value = takes_value ? option.get_type_name() : "";
  if (name.empty())
    name = value.empty() ? option.get_single_name() : value;
  else if (takes_value)
    name += " " + value;
  return {name, option.get_description() + default_of(option), value};
}

std::string usage_of(const CLI::App& app, const ManualPage& page) {
  std::string usage = "residua";
  if (!page.command.empty()) usage += " " + page.command;
  if (!page.commands.empty()) return usage + " COMMAND [ARGUMENT]...";
  for (const CLI::Option* option : app.get_options())
    if (option->get_required() && !option->get_positional()) usage += " " + entry_of(*option).name;
  usage += " [OPTION]...";
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) continue;
    const std::string word = option->get_single_name();
    const std::string& value = option->get_type_name();
    if (value.find('[') != std::string::npos || value.find("...") != std::string::npos)
      usage += " " + value;
    else
      usage += option->get_required() ? " " + word : " [" + word + "]";
  }
  return usage;
}

ManualPage page_of(const CLI::App& app, bool program) {
  ManualPage page{.command = program ? "" : app.get_name(), .summary = app.get_description()};
  for (const CLI::Option* option : app.get_options())
    (option->get_positional() ? page.arguments : page.options).push_back(entry_of(*option));
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    page.commands.push_back({command->get_name(), command->get_description(), ""});
  std::istringstream lines(app.get_footer());
  for (std::string line; std::getline(lines, line);) page.examples.push_back(line);
  page.usage = usage_of(app, page);
  return page;
}

std::string section(std::string_view title, const std::vector<ManualEntry>& entries, bool colours) {
  if (entries.empty()) return {};
  std::string text = fmt::format("\n{}\n", bold(title, colours));
  for (const ManualEntry& e : entries) {
    if (e.name.size() > 26)
      text += fmt::format("  {}\n  {:<26} {}\n", e.name, "", e.help);
    else
      text += fmt::format("  {:<26} {}\n", e.name, e.help);
  }
  return text;
}

}  // namespace

std::vector<ManualPage> manual_pages(const CLI::App& app) {
  std::vector<ManualPage> pages{page_of(app, true)};
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    pages.push_back(page_of(*command, false));
  return pages;
}

std::string help_page(const ManualPage& page, bool colours) {
  std::string text = fmt::format("residua{}{}: {}\n\n{} {}\n", page.command.empty() ? "" : " ",
                                 page.command, page.summary, bold("Usage:", colours), page.usage);
  text += section("Commands", page.commands, colours);
  text += section("Arguments", page.arguments, colours);
  text += section("Options", page.options, colours);
  if (const std::string settings = settings_help(page.command); !settings.empty())
    text += fmt::format(
        "\n{}\n{}",
        bold(fmt::format("Settings (key=value{})", settings_places(page.command)), colours),
        settings);
  if (!page.examples.empty()) {
    text += fmt::format("\n{}\n", bold("Examples", colours));
    for (const std::string& example : page.examples) text += fmt::format("  {}\n", example);
  }
  if (page.command.empty())
    text +=
        "\nExit status: 0 done, 2 an error that you can mend, 70 a bug in residua, 130 "
        "interrupted.\n"
        "`residua COMMAND --help` explains a command, `residua help NAME` a model's options.\n";
  return text;
}

}  // namespace residua::app
