#pragma once
// What each subcommand was asked to do. The program parses into these; the commands that need
// libtorch are carried out by libresidua_commands, which is loaded when the first of them is
// called, because loading libtorch takes half a second.

#include <cstdint>
#include <string>
#include <vector>

#include "app/network_source.h"

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

struct GenerateArguments {
  std::string weights;
  std::string prompt;  // empty: begin anew
  int64_t tokens = 200;
  double temperature = 0.8;  // 0: always the likeliest token
  int64_t top_k = 0;         // 0: all tokens
  int64_t seed = 0;
  std::vector<std::string> overrides;
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

// Where recipes and what was found with them lie.
struct RecipePlaces {
  std::string papers;               // folder; empty: the program's own
  std::string results = "results";  // folder
};

struct ReproduceArguments {
  std::vector<std::string> slugs;
  std::string family;
  std::string scale = "small";  // smoke, small or full
  int64_t seeds = 0;            // 0: as the recipe says
  std::string cache = "results-cache";
  bool fresh = false;
  int64_t threads = 0;
  RecipePlaces places = {};
  bool json = false;
};

struct PapersArguments {
  std::string pattern = "*";
  std::string family, verdict;  // empty: any
  RecipePlaces places = {};
  bool json = false, markdown = false;
};

struct ReportArguments {
  std::string out = "report.html";
  RecipePlaces places = {};
};

struct CompareArguments {
  std::string what;     // connections
  std::string carrier;  // resnet20, vit-tiny or gpt-mini
  std::string data;     // empty: the carrier's own
  std::vector<std::string> only;
  std::vector<std::string> overrides;
  int64_t epochs = 0;  // 0: the carrier's own
  std::string cache = "results-cache";
  int64_t threads = 0;
  std::string results = "results";
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
int generate(const GenerateArguments&);
int list(const ListArguments&);
int info(const InfoArguments&);
int data(const DataArguments&);
int verify(const VerifyArguments&);
int reproduce(const ReproduceArguments&);
int papers(const PapersArguments&);
int report(const ReportArguments&);
int compare(const CompareArguments&);
// A model of the zoo as a graph, with inputs to calibrate it where `samples` are wanted.
NetworkSource network(const NetworkArguments&, int64_t samples);
void torchscript(const Graph&, const std::string& path);
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
  int (*generate)(const GenerateArguments&);
  int (*list)(const ListArguments&);
  int (*info)(const InfoArguments&);
  int (*data)(const DataArguments&);
  int (*verify)(const VerifyArguments&);
  int (*reproduce)(const ReproduceArguments&);
  int (*papers)(const PapersArguments&);
  int (*report)(const ReportArguments&);
  int (*compare)(const CompareArguments&);
  NetworkSource (*network)(const NetworkArguments&, int64_t samples);
  void (*torchscript)(const Graph&, const std::string& path);
  int (*explain)(const HelpArguments&);
  std::string (*training_environment)();
};
inline constexpr char kCommandTableSymbol[] = "residua_command_table";

}  // namespace residua::app
