#pragma once
// What each subcommand was asked to do. The program parses into these; the commands that need
// libtorch are carried out by libresidua_commands, which is loaded when the first of them is
// called, because loading libtorch takes half a second.

#include <cstdint>
#include <string>
#include <vector>

namespace residua::app {

struct TrainArguments {
  std::string config;                  // TOML file; empty: defaults
  std::vector<std::string> overrides;  // key=value
  bool dry_run = false;
  bool json = false;   // machine-readable lines instead of the progress display
  std::string resume;  // run folder to continue
};

struct EvalArguments {
  std::string weights;  // checkpoint folder or weights file
  std::vector<std::string> overrides;
  bool json = false;
};

struct PredictArguments {
  std::string weights;
  std::vector<std::string> inputs;  // images, and key=value overrides are separated out before
  std::vector<std::string> overrides;
  int64_t top_k = 5;
  bool json = false;
};

struct ListArguments {
  std::string kind = "models";  // models, connections, datasets, ...
  std::string pattern = "*";
  bool json = false;
};

struct InfoArguments {
  std::string model;
  std::vector<std::string> overrides;
  std::vector<int64_t> input;  // C H W; empty: the model's own
  bool json = false;
};

struct DataArguments {
  std::string action;  // get, list, path or sample
  std::string name;    // data set; empty for `list`
  std::string out;     // get: folder, empty: where it is looked for; sample: PNG file
  int64_t index = 0;   // sample: which test image
  bool json = false;
};

struct VerifyArguments {
  std::vector<std::string> cards;
  bool json = false;
};

struct HelpArguments {
  std::string topic;  // the name of a component whose options to explain
};

struct DoctorArguments {
  bool json = false;
};

// Implemented in libresidua_commands (app/training/*.cpp). They return the exit status of success
// paths and throw residua::Error otherwise.
int train(const TrainArguments&);
int eval(const EvalArguments&);
int predict(const PredictArguments&);
int list(const ListArguments&);
int info(const InfoArguments&);
int data(const DataArguments&);
int verify(const VerifyArguments&);
// Prints the options of a named component. Throws ErrorKind::not_found with the nearest names.
int explain(const HelpArguments&);
// Versions and devices of the training library, as JSON text.
std::string training_environment();

// The one symbol that the program asks libresidua_commands for. The two are always built together;
// the version is compared as a whole, so that a program never calls into the library of another
// build.
struct CommandTable {
  const char* version;
  int (*train)(const TrainArguments&);
  int (*eval)(const EvalArguments&);
  int (*predict)(const PredictArguments&);
  int (*list)(const ListArguments&);
  int (*info)(const InfoArguments&);
  int (*data)(const DataArguments&);
  int (*verify)(const VerifyArguments&);
  int (*explain)(const HelpArguments&);
  std::string (*training_environment)();
};
inline constexpr char kCommandTableSymbol[] = "residua_command_table";

}  // namespace residua::app
