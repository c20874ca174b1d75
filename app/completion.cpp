// Completion scripts for bash and zsh.

#include <fmt/format.h>

#include "app/manual.h"
#include "app/settings.h"

namespace residua::app {

namespace {

std::vector<std::string> option_words(const ManualPage& page) {
  std::vector<std::string> words;
  for (const ManualEntry& e : page.options) {
    const size_t dashes = e.name.find("--");
    words.push_back(e.name.substr(dashes, e.name.find(' ', dashes) - dashes));
  }
  return words;
}

// Words that may follow `residua COMMAND`: options, choices of arguments, settings.
std::vector<std::string> words_after(const ManualPage& page) {
  std::vector<std::string> words = option_words(page);
  for (const ManualEntry& e : page.arguments) {
    if (e.value.find('|') == std::string::npos) continue;
    for (size_t at = 0; at < e.value.size();) {
      const size_t bar = std::min(e.value.find('|', at), e.value.size());
      words.push_back(e.value.substr(at, bar - at));
      at = bar + 1;
    }
  }
  for (const std::string& key : setting_keys(page.command)) words.push_back(key + "=");
  return words;
}

std::string shell_quoted(std::string_view text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

}  // namespace

std::string bash_completion(const std::vector<ManualPage>& pages) {
  std::vector<std::string> commands = option_words(pages.front());
  for (const ManualEntry& e : pages.front().commands) commands.push_back(e.name);
  std::string text =
      fmt::format(R"(# bash completion of residua, printed by `residua completion bash`
_residua() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} words=
  if [[ $COMP_CWORD -le 1 ]]; then
    words={}
  else
    case ${{COMP_WORDS[1]}} in
)",
                  shell_quoted(fmt::format("{}", fmt::join(commands, " "))));
  for (size_t i = 1; i < pages.size(); ++i)
    text += fmt::format("      {}) words={} ;;\n", pages[i].command,
                        shell_quoted(fmt::format("{}", fmt::join(words_after(pages[i]), " "))));
  text += R"(    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi
  if [[ ${#COMPREPLY[@]} -eq 0 && $COMP_CWORD -gt 1 ]]; then
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  fi
}
complete -F _residua residua
)";
  return text;
}

std::string zsh_completion(const std::vector<ManualPage>& pages) {
  std::string text =
      "#compdef residua\n# zsh completion of residua, printed by `residua completion "
      "zsh`\n_residua() {\n"
      "  local -a choices\n  if (( CURRENT == 2 )); then\n    choices=(\n";
  for (const ManualEntry& e : pages.front().commands)
    text += fmt::format("      {}\n", shell_quoted(e.name + ":" + e.help));
  for (const std::string& option : option_words(pages.front()))
    text += fmt::format("      {}\n", shell_quoted(option));
  text += "    )\n    _describe 'command' choices\n    return\n  fi\n  case $words[2] in\n";
  for (size_t i = 1; i < pages.size(); ++i) {
    text += fmt::format("    {}) choices=(", pages[i].command);
    for (const std::string& word : words_after(pages[i])) text += " " + shell_quoted(word);
    text += " ) ;;\n";
  }
  text +=
      "  esac\n  compadd -S '' -- ${(M)choices:#*=}\n  compadd -- ${choices:#*=}\n  "
      "_files\n}\n_residua \"$@\"\n";
  return text;
}

}  // namespace residua::app
