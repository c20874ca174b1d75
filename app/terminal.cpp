#include "app/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "app/version.h"
#include "residua/core/error.h"
#include "residua/core/json.h"
#include "residua/core/log.h"

namespace residua::app {

namespace {

void write_error_line(std::string_view lead, std::string_view message) {
  const bool colours = has_colours(STDERR_FILENO);
  fmt::print(stderr, "{}{}{}: {}\n", colours ? "\033[1;31m" : "", lead, colours ? "\033[0m" : "",
             message);
}

Json error_to_json(ErrorKind kind, const ErrorText& text, std::string_view message, int status) {
  Json object{{"kind", to_string(kind)}, {"message", message}};
  const auto add = [&object](const char* key, const std::string& value) {
    if (!value.empty()) object[key] = value;
  };
  add("where", text.where);
  add("rule", text.rule);
  add("expected", text.expected);
  add("received", text.received);
  add("hint", text.hint);
  object["exit_status"] = status;
  return Json{{"error", object}};
}

}  // namespace

bool has_colours(int descriptor) {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return (!no_colour || !*no_colour) && term && std::strcmp(term, "dumb") != 0 &&
         isatty(descriptor);
}

std::string printable(std::string_view text) {
  std::string safe;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    const bool second_half = c == 0xc2 && next >= 0x80 && next < 0xa0;  // U+0080 to U+009F
    i += second_half ? 1 : 0;
    safe += c < 0x20 || c == 0x7f || second_half ? '?' : text[i];
  }
  return safe;
}

std::string bold(std::string_view text, bool colours) {
  return colours ? fmt::format("\033[1m{}\033[0m", text) : std::string(text);
}

int report_error(const std::exception& error, bool json) {
  ErrorKind kind = ErrorKind::internal;
  ErrorText text{.rule = error.what()};
  std::string message = error.what();
  if (const auto* ours = dynamic_cast<const Error*>(&error)) {
    kind = ours->kind();
    text = ours->text();
  } else if (dynamic_cast<const std::bad_alloc*>(&error)) {
    kind = ErrorKind::limit;
    text = {.rule = "ran out of memory", .hint = "use a smaller batch or model"};
    message = "ran out of memory. Hint: use a smaller batch or model.";
  }
  const int status = kind == ErrorKind::internal ? 70 : 2;
  std::fflush(stdout);
  write_error_line("residua", message);
  if (status == 70)
    fmt::print(stderr,
               "This is a bug in residua {}, not a mistake of yours. Please report the command and "
               "the line above.\n",
               kBuildVersion);
  if (json) {
    const Json object = error_to_json(kind, text, message, status);
    fmt::print("{}\n", object.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return status;
}

void log_to_terminal() {
  set_log_sink([](LogLevel level, std::string_view message) {
    if (level == LogLevel::debug) return;
    if (level == LogLevel::info)
      fmt::print(stderr, "{}\n", message);
    else
      write_error_line(level == LogLevel::warning ? "residua: warning" : "residua: error", message);
  });
}

}  // namespace residua::app
