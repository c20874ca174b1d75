// The command `residua`: parses, calls, reports.

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>

#include "app/command_line.h"
#include "app/commands_library.h"
#include "app/doctor.h"
#include "app/manual.h"
#include "app/terminal.h"
#include "app/version.h"
#include "residua/core/error.h"

namespace {

using namespace residua;
using namespace residua::app;

int print_help(const CommandLine& line, const HelpRequest& request) {
  const auto pages = manual_pages(line.description());
  if (request.format == "man") {
    fmt::print("{}", man_page(pages));
    return 0;
  }
  if (request.format == "markdown") {
    fmt::print("{}", markdown_manual(pages));
    return 0;
  }
  for (const ManualPage& page : pages) {
    if (page.command != request.topic) continue;
    fmt::print("{}", help_page(page, has_colours(STDOUT_FILENO)));
    return 0;
  }
  return commands_library().explain({.topic = request.topic});
}

int print_completion(const CommandLine& line, const std::string& shell) {
  const auto pages = manual_pages(line.description());
  fmt::print("{}", shell == "zsh" ? zsh_completion(pages) : bash_completion(pages));
  return 0;
}

int run(int argc, char** argv) {
  CommandLine line;
  const Invocation asked = line.parse(argc, argv);
  if (asked.command == "version") {
    fmt::print("residua {}\n", kVersion);
    return 0;
  }
  if (asked.command == "help") return print_help(line, asked.help);
  if (asked.command == "completion") return print_completion(line, asked.completion_shell);
  if (asked.command == "doctor") return doctor(asked.doctor);
  if (asked.command == "run") return run_model(asked.run);
  if (asked.command == "bench") return bench(asked.bench);
  if (asked.command == "compile") return compile(asked.compile);
  if (asked.command == "quantize") return compile(asked.quantize);
  if (asked.command == "export") return export_network(asked.exports);
  const CommandTable& commands = commands_library();
  if (asked.command == "train") return commands.train(asked.train);
  if (asked.command == "eval") return commands.eval(asked.eval);
  if (asked.command == "predict") return commands.predict(asked.predict);
  if (asked.command == "generate") return commands.generate(asked.generate);
  if (asked.command == "list") return commands.list(asked.list);
  if (asked.command == "info") return commands.info(asked.info);
  if (asked.command == "data") return commands.data(asked.data);
  if (asked.command == "verify") return commands.verify(asked.verify);
  if (asked.command == "reproduce") return commands.reproduce(asked.reproduce);
  if (asked.command == "papers") return commands.papers(asked.papers);
  if (asked.command == "report") return commands.report(asked.report);
  if (asked.command == "compare") return commands.compare(asked.compare);
  throw Error(ErrorKind::internal,
              {.where = asked.command, .rule = "is declared but not carried out"});
}

// Commands that have something to save (train) set handlers of their own.
extern "C" void exit_on_interrupt(int) {
  constexpr char kMessage[] = "\nresidua: interrupted\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, kMessage, sizeof(kMessage) - 1);
  _exit(130);
}

// Output that could not be written (a full disk) must not look like success.
int finish(int status) {
  if (std::fflush(stdout) != 0 && status == 0) throw_io_error("standard output", "write", errno);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGINT, exit_on_interrupt);
  log_to_terminal();
  try {
    return finish(run(argc, argv));
  } catch (const std::exception& error) {
    return report_error(error, wants_json(argc, argv));
  } catch (...) {
    return report_error(std::runtime_error("an unknown exception"), wants_json(argc, argv));
  }
}
