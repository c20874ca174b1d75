#pragma once
// The one description of the command line: what is parsed, and from what help, man page and
// completions are made.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/commands_networks.h"
#include "app/commands_runtime.h"

namespace residua::app {

struct HelpRequest {
  std::string topic;   // a command or a component; empty: the program
  std::string format;  // text, man or markdown
};

// What the command line asked for; `command` says which of the members was filled.
struct Invocation {
  std::string command;  // "train" ... "help", or "version"
  TrainArguments train = {};
  EvalArguments eval = {};
  PredictArguments predict = {};
  GenerateArguments generate = {};
  ListArguments list = {};
  InfoArguments info = {};
  DataArguments data = {};
  VerifyArguments verify = {};
  ReproduceArguments reproduce = {};
  PapersArguments papers = {};
  ReportArguments report = {};
  CompareArguments compare = {};
  RunArguments run = {};
  int64_t run_threads = 0;  // of --threads, which is a setting too
  BenchArguments bench = {};
  CompileArguments compile = {}, quantize = {};
  ExportArguments exports = {};
  DoctorArguments doctor = {};
  HelpRequest help = {};
  std::string completion_shell = {};
};

class CommandLine {
 public:
  CommandLine();

  // Throws residua::Error, with the nearest names for an unknown command or option.
  Invocation parse(int argc, const char* const* argv);

  const CLI::App& description() const { return app_; }

 private:
  void refuse_unknown() const;
  void separate_overrides();

  CLI::App app_;
  Invocation asked_;
  std::vector<std::string> words_;  // files and key=value, still together
  std::string device_;              // of --device, which is a setting too
};

// `key=value` and not the name of an existing file.
bool is_override(const std::string& word);

// Whether `--json` stands among the arguments, also when they cannot be parsed.
bool wants_json(int argc, const char* const* argv);

}  // namespace residua::app
