#include "app/command_line.h"

#include <fmt/format.h>

#include <filesystem>

#include "app/command_parts.h"
#include "app/version.h"
#include "residua/core/error.h"

namespace residua::app {

namespace {

constexpr char kOverrides[] = "key=value";
constexpr char kNearest[] = "\ndid you mean";  // begins the hint inside a validator's message

void add_device(CLI::App* command, std::string& device) {
  command->add_option("--device", device, "where to compute; the same as the setting device=")
      ->type_name("cpu|cuda[:N]");
}

void add_train(CLI::App& app, TrainArguments& a, std::vector<std::string>& words,
               std::string& device) {
  auto* c = add_command(app, "train", "train a model",
                        "residua train model=resnet20 data=cifar10 optim.lr=0.1\n"
                        "residua train experiment.toml seed=3 --dry-run");
  c->add_option("CONFIG", words, "a TOML file with settings, then single settings that override it")
      ->type_name(fmt::format("[FILE.toml] [{}]...", kOverrides));
  c->add_flag("--dry-run", a.dry_run,
              "print the resolved settings, the parameters, operations and memory; do not train");
  c->add_option("--resume", a.resume, "continue the run in this folder exactly where it stopped")
      ->type_name("FOLDER");
  add_device(c, device);
  add_json(c, a.json, "print one JSON object per line instead of the progress display");
}

void add_eval(CLI::App& app, EvalArguments& a, std::vector<std::string>& words,
              std::string& device) {
  auto* c = add_command(app, "eval", "measure a trained model on the test data",
                        "residua eval --weights runs/digits\n"
                        "residua eval --weights resnet20.th model=resnet20 data=cifar10");
  c->add_option("--weights", a.weights,
                "a run or checkpoint folder, or a file of weights (.safetensors, .pth, .th)")
      ->type_name("PATH")
      ->required();
  c->add_option("SETTINGS", words,
                "model, data and other settings; a checkpoint of residua carries its own")
      ->type_name(fmt::format("[{}]...", kOverrides));
  add_device(c, device);
  add_json(c, a.json);
}

void add_predict(CLI::App& app, PredictArguments& a, std::vector<std::string>& words,
                 std::string& device) {
  auto* c = add_command(app, "predict", "name what is in images",
                        "residua predict --weights runs/digits seven.png\n"
                        "residua predict --weights resnet18.pth model=resnet18 --top-k 3 *.jpg");
  c->add_option("--weights", a.weights,
                "a run or checkpoint folder, or a file of weights (.safetensors, .pth, .th)")
      ->type_name("PATH")
      ->required();
  c->add_option("IMAGE", words, "JPEG or PNG files, and settings where the weights carry none")
      ->type_name(fmt::format("IMAGE... [{}]...", kOverrides));
  in_range(c->add_option("--top-k", a.top_k, "how many classes to print for each image"), 1,
           1000000)
      ->type_name("N")
      ->capture_default_str();
  add_device(c, device);
  add_json(c, a.json);
}

void add_generate(CLI::App& app, GenerateArguments& a, std::vector<std::string>& words,
                  std::string& device) {
  auto* c =
      add_command(app, "generate", "let a language model write",
                  "residua generate --weights runs/gpt-shakespeare --prompt 'ROMEO:'\n"
                  "residua generate --weights runs/gpt-shakespeare --temperature 0 --tokens 50");
  c->add_option("--weights", a.weights, "a run or checkpoint folder of a language model")
      ->type_name("PATH")
      ->required();
  c->add_option("SETTINGS", words, "settings where the weights carry none")
      ->type_name(fmt::format("[{}]...", kOverrides));
  c->add_option("--prompt", a.prompt, "the text that it continues; without it a new line begins")
      ->type_name("TEXT");
  in_range(c->add_option("--tokens", a.tokens, "how many to write"), 1, 1000000)
      ->type_name("N")
      ->capture_default_str();
  c->add_option("--temperature", a.temperature,
                "of the distribution that tokens are drawn from; 0: always the likeliest")
      ->type_name("X")
      ->check(CLI::Range(0.0, 1000.0).description(""))
      ->capture_default_str();
  in_range(c->add_option("--top-k", a.top_k, "draw from the likeliest only; 0: from all"), 0,
           1000000)
      ->type_name("N")
      ->capture_default_str();
  in_range(c->add_option("--seed", a.seed, "of the draws"), 0, INT64_MAX)
      ->type_name("N")
      ->capture_default_str();
  add_device(c, device);
  add_json(c, a.json);
}

void add_list(CLI::App& app, ListArguments& a) {
  auto* c = add_command(
      app, "list", "list what can be created by name: models, connections, datasets, ...",
      "residua list\nresidua list models 'resnet*'\nresidua list datasets --json");
  one_of(c->add_option("KIND", a.kind, "what to list"),
         {"models", "connections", "memory", "datasets", "optimizers", "schedules", "probes"})
      ->capture_default_str();
  c->add_option("PATTERN", a.pattern, "a shell pattern that names must match")
      ->type_name("PATTERN")
      ->capture_default_str();
  add_json(c, a.json);
}

void add_info(CLI::App& app, InfoArguments& a) {
  auto* c =
      add_command(app, "info", "print a model layer by layer: shapes, parameters, operations",
                  "residua info resnet18\nresidua info resnet20 num_classes=100 --input 3 64 64");
  c->add_option("MODEL", a.model, "name of the model")->type_name("MODEL")->required();
  c->add_option("SETTINGS", a.overrides, "options of the model")
      ->type_name(fmt::format("[{}]...", kOverrides));
  in_range(c->add_option("--input", a.input,
                         "channels, height and width of the image; without it the model's own"),
           1, 65536)
      ->type_name("C H W")
      ->expected(3);
  add_json(c, a.json);
}

void add_data(CLI::App& app, DataArguments& a) {
  auto* c = add_command(app, "data", "fetch data sets, list them, or look into one",
                        "residua data list\nresidua data get cifar10\n"
                        "residua data sample digits --index 7 --out digit.png");
  one_of(c->add_option("ACTION", a.action,
                       "fetch a data set; list them all; print the folder that get fills; write a "
                       "test image as PNG"),
         {"get", "list", "path", "sample"})
      ->required();
  c->add_option("NAME", a.name, "name of the data set, for get, path and sample")
      ->type_name("NAME");
  c->add_option("--out", a.out, "for get the folder to fill, for sample the PNG file")
      ->type_name("PATH");
  in_range(c->add_option("--index", a.index, "for sample: which test image"), 0, INT64_MAX)
      ->type_name("N")
      ->capture_default_str();
  add_json(c, a.json);
}

void add_verify(CLI::App& app, VerifyArguments& a) {
  auto* c = add_command(app, "verify",
                        "check a model against golden cards: shapes and sums of a public reference",
                        "residua verify tests/golden/resnet18.json");
  c->add_option("CARD", a.cards, "golden card files")->type_name("CARD.json...")->required();
  add_json(c, a.json);
}

void add_own_commands(CLI::App& app, Invocation& asked) {
  auto* doctor = add_command(
      app, "doctor",
      "print versions, processor, threads, memory and devices, and warn of what costs speed",
      "residua doctor\nresidua doctor --json");
  add_json(doctor, asked.doctor.json);
  auto* completion =
      add_command(app, "completion", "print the completion script of a shell",
                  "residua completion bash > ~/.local/share/bash-completion/completions/residua");
  one_of(completion->add_option("SHELL", asked.completion_shell, "which shell"), {"bash", "zsh"})
      ->required();
  auto* help = add_command(
      app, "help",
      "explain a command, or the options of a model, connection, data set, optimizer, ...",
      "residua help train\nresidua help resnet20\nresidua help --format man | man -l -");
  help->add_option("TOPIC", asked.help.topic, "a command or the name of a component")
      ->type_name("TOPIC");
  one_of(help->add_option("--format", asked.help.format, "how to print the whole manual"),
         {"text", "man", "markdown"});
}

void refuse_no_setting(const std::vector<std::string>& words) {
  if (words.empty()) return;
  throw Error(ErrorKind::invalid_argument, {.where = words[0],
                                            .rule = "is not a setting",
                                            .expected = "key=value, for example data=cifar10"});
}

// CLI11's sentence without the parts that only make sense to its own reader.
Error translate(const CLI::ParseError& e, const std::string& command) {
  const std::string where = command.empty() ? "residua" : "residua " + command;
  std::string rule = e.what(), hint = fmt::format("`{} --help` shows how to use it", where);
  if (const size_t nearest = rule.find(kNearest); nearest != std::string::npos) {
    hint = rule.substr(nearest + 1);
    rule.resize(nearest);
  }
  return Error(ErrorKind::invalid_argument, {.where = where, .rule = rule, .hint = hint});
}

}  // namespace

bool is_override(const std::string& word) {
  const size_t equals = word.find('=');
  if (equals == std::string::npos || equals == 0) return false;
  const auto in_key = [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '.' || c == '-';
  };
  if (!std::isalpha(static_cast<unsigned char>(word[0])) ||
      !std::all_of(word.begin(), word.begin() + equals, in_key))
    return false;
  std::error_code ignored;
  return !std::filesystem::exists(word, ignored);
}

bool wants_json(int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i)
    if (std::string_view(argv[i]) == "--json") return true;
  return false;
}

CommandLine::CommandLine() : app_("residual networks: train, evaluate, use", "residua") {
  app_.set_help_flag("-h,--help", "show this help");
  app_.set_version_flag("--version", kVersion, "print the version");
  app_.allow_extras();
  app_.require_subcommand(0, 1);  // "residua help train": the second word is a topic
  add_train(app_, asked_.train, words_, device_);
  add_eval(app_, asked_.eval, words_, device_);
  add_predict(app_, asked_.predict, words_, device_);
  add_generate(app_, asked_.generate, words_, device_);
  add_list(app_, asked_.list);
  add_info(app_, asked_.info);
  add_data(app_, asked_.data);
  add_verify(app_, asked_.verify);
  add_recipe_commands(app_, asked_, words_);
  add_network_commands(app_, asked_.compile, asked_.quantize, asked_.exports);
  add_runtime_commands(app_, asked_, words_);
  add_own_commands(app_, asked_);
}

Invocation CommandLine::parse(int argc, const char* const* argv) {
  const auto chosen = [this]() -> std::string {
    const auto commands = app_.get_subcommands();
    return commands.empty() ? "" : commands.front()->get_name();
  };
  try {
    app_.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return {.command = "help", .help = {.topic = chosen(), .format = ""}};
  } catch (const CLI::CallForVersion&) {
    return {.command = "version"};
  } catch (const CLI::ParseError& e) {
    refuse_unknown();
    throw translate(e, chosen());
  }
  refuse_unknown();
  asked_.command = chosen();
  if (asked_.command.empty()) return {.command = "help"};
  separate_overrides();
  return asked_;
}

void CommandLine::refuse_unknown() const {
  const auto commands = app_.get_subcommands();
  const CLI::App& at = commands.empty() ? app_ : *commands.front();
  const auto extras = app_.remaining(true);
  if (extras.empty()) return;
  const std::string& word = extras.front();
  std::vector<std::string> names;
  const bool option = word.starts_with('-');
  if (option) {
    for (const CLI::Option* o : at.get_options())
      for (const std::string& name : o->get_lnames()) names.push_back("--" + name);
  } else if (commands.empty()) {
    for (const CLI::App* command : app_.get_subcommands({})) names.push_back(command->get_name());
  }
  const std::string where = commands.empty() ? "residua" : "residua " + at.get_name();
  std::string hint = nearest_names_hint(word.substr(0, word.find('=')), names);
  if (hint.empty()) hint = fmt::format("`{} --help` lists them", where);
  throw Error(ErrorKind::invalid_argument,
              {.where = where,
               .rule = fmt::format("'{}' is {}", word,
                                   option             ? "not an option of it"
                                   : commands.empty() ? "not a command"
                                                      : "one argument too many"),
               .hint = hint});
}

void CommandLine::separate_overrides() {
  const auto split = [this](std::vector<std::string>& overrides, std::vector<std::string>& files) {
    for (std::string& word : words_)
      (is_override(word) ? overrides : files).push_back(std::move(word));
    if (!device_.empty()) overrides.push_back("device=" + device_);
  };
  std::vector<std::string> files;
  if (asked_.command == "train") {
    split(asked_.train.overrides, files);
    if (files.size() > 1)
      throw Error(ErrorKind::invalid_argument,
                  {.where = files[1],
                   .rule = "is a second configuration",
                   .expected = "one TOML file, and settings as key=value"});
    if (!files.empty()) asked_.train.config = files[0];
  } else if (asked_.command == "predict") {
    split(asked_.predict.overrides, asked_.predict.inputs);
  } else if (asked_.command == "run") {
    split(asked_.run.overrides, asked_.run.inputs);
    if (asked_.run_threads > 0)
      asked_.run.overrides.push_back(fmt::format("threads={}", asked_.run_threads));
  } else if (asked_.command == "compare") {
    split(asked_.compare.overrides, files);
    refuse_no_setting(files);
  } else if (asked_.command == "eval" || asked_.command == "generate") {
    split(asked_.command == "eval" ? asked_.eval.overrides : asked_.generate.overrides, files);
    refuse_no_setting(files);
  }
}

}  // namespace residua::app
