// The manual as a man page and as Markdown.

#include <fmt/format.h>

#include "app/manual.h"
#include "app/settings.h"
#include "app/version.h"

namespace residua::app {

namespace {

// A line of running text for troff: backslashes and leading dots are commands there, hyphens would
// be typographic.
std::string roff(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '\\')
      result += "\\e";
    else if (c == '-')
      result += "\\-";
    else if ((c == '.' || c == '\'') && (result.empty() || result.back() == '\n'))
      result += fmt::format("\\&{}", c);
    else
      result += c;
  }
  return result;
}

void add_man_entries(std::string& text, const std::vector<ManualEntry>& entries) {
  for (const ManualEntry& e : entries)
    text += fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(e.name), roff(e.help));
}

void add_man_verbatim(std::string& text, const std::string& lines) {
  text += ".nf\n" + roff(lines) + ".fi\n";
}

std::string examples_of(const ManualPage& page) {
  std::string lines;
  for (const std::string& example : page.examples) lines += example + "\n";
  return lines;
}

void add_markdown_entries(std::string& text, const char* title,
                          const std::vector<ManualEntry>& entries) {
  if (entries.empty()) return;
  text += fmt::format("\n| {} | |\n| --- | --- |\n", title);
  for (const ManualEntry& e : entries) {
    std::string name = e.name;
    for (size_t bar = name.find('|'); bar != std::string::npos; bar = name.find('|', bar + 2))
      name.insert(bar, "\\");
    text += fmt::format("| `{}` | {} |\n", name, e.help);
  }
}

constexpr char kExitStatus[] =
    "0: done. 2: an error that the user can mend, in one sentence on stderr. 70: a bug in residua. "
    "130: interrupted.";

}  // namespace

std::string man_page(const std::vector<ManualPage>& pages) {
  const ManualPage& program = pages.front();
  std::string text = fmt::format(".TH RESIDUA 1 \"\" \"residua {}\" \"User Commands\"\n", kVersion);
  text += fmt::format(".SH NAME\nresidua \\- {}\n.SH SYNOPSIS\n\\fB{}\\fR\n", roff(program.summary),
                      roff(program.usage));
  text += ".SH OPTIONS\n";
  add_man_entries(text, program.options);
  text += ".SH COMMANDS\n";
  for (size_t i = 1; i < pages.size(); ++i) {
    const ManualPage& page = pages[i];
    text += fmt::format(".SS \"{}\"\n\\fB{}\\fR\n.PP\n{}\n", page.command, roff(page.usage),
                        roff(page.summary));
    add_man_entries(text, page.arguments);
    add_man_entries(text, page.options);
    if (const std::string settings = settings_help(page.command); !settings.empty()) {
      text += fmt::format(".PP\nSettings, as key=value{}:\n", settings_places(page.command));
      add_man_verbatim(text, settings);
    }
    text += ".PP\nExamples:\n";
    add_man_verbatim(text, examples_of(page));
  }
  text += fmt::format(".SH EXIT STATUS\n{}\n", roff(kExitStatus));
  return text;
}

std::string markdown_manual(const std::vector<ManualPage>& pages) {
  std::string text =
      "# The command `residua`\n\nThis page is printed by `residua help --format markdown`.\n\n";
  text += fmt::format("`{}`\n", pages.front().usage);
  add_markdown_entries(text, "command", pages.front().commands);
  add_markdown_entries(text, "option", pages.front().options);
  text += fmt::format("\nExit status: {}\n", kExitStatus);
  text +=
      "With `--json` an error is also printed to stdout, as one JSON object with the key "
      "`error`.\n";
  for (size_t i = 1; i < pages.size(); ++i) {
    const ManualPage& page = pages[i];
    text += fmt::format("\n## `residua {}`: {}\n\n`{}`\n", page.command, page.summary, page.usage);
    add_markdown_entries(text, "argument", page.arguments);
    add_markdown_entries(text, "option", page.options);
    if (const std::string settings = settings_markdown(page.command); !settings.empty())
      text += fmt::format("\nSettings, as `key=value`{}:\n\n", settings_places(page.command)) +
              settings;
    text += fmt::format("\n```sh\n{}```\n", examples_of(page));
  }
  return text;
}

}  // namespace residua::app
