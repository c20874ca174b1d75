// `residua compile` and `residua quantize`: a network as a plan for this processor.

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "app/commands_networks.h"
#include "residua/core/error.h"
#include "residua/runtime/type_choice.h"

namespace residua::app {

namespace {

std::string plan_path(const CompileArguments& a) {
  if (!a.out.empty()) return a.out;
  return std::filesystem::path(a.network.what).filename().replace_extension(".plan");
}

std::string_view type_name(ElementType type) {
  return EnumNames<ElementType>::names[static_cast<size_t>(type)];
}

PlanOptions options_of(const CompileArguments& a) {
  return {.threads = a.threads,
          .kernels = a.fixed_kernels ? KernelChoice::fixed : KernelChoice::measured,
          .winograd = a.winograd,
          .fused_blocks = a.fused_blocks};
}

QuantizeOptions quantize_options(const CompileArguments& a) {
  QuantizeOptions options = a.quantize;
  assign(options, {{"calibration", a.calibration}});
  options.bias_correction = !a.no_bias_correction;
  options.threads = a.threads;
  return options;
}

Json to_json(const TypeTrial& trial) {
  return {{"dtype", type_name(trial.type)},     {"milliseconds", 1e3 * trial.seconds},
          {"agreement", trial.agreement},       {"relative_error", trial.error},
          {"weight_bytes", trial.weight_bytes}, {"refused", trial.refused}};
}

void print_trials(const TypeChoice& choice, size_t samples) {
  fmt::print("{:<6} {:>10} {:>10} {:>10} {:>10}\n", "type", "ms", "agreement", "error", "weights");
  for (const TypeTrial& trial : choice.trials) {
    if (trial.seconds == 0) {
      fmt::print("{:<6} {}\n", type_name(trial.type), trial.refused);
      continue;
    }
    fmt::print("{:<6} {:>10.3f} {:>8.2f} % {:>8.2f} % {:>7.2f} MB  {}\n", type_name(trial.type),
               1e3 * trial.seconds, 100 * trial.agreement, 100 * trial.error,
               static_cast<double>(trial.weight_bytes) / 1e6,
               &trial == &choice.trials[choice.chosen] ? "chosen" : trial.refused);
  }
  fmt::print("agreement: the same decision as fp32, on {} samples; error: root mean square\n",
             samples);
}

// fp32 or bf16, as asked, without measuring.
int compile_as_asked(const CompileArguments& a) {
  NetworkSource source = open_network(a.network);
  PlanInfo info = source.file.info;
  info.options = options_of(a);
  info.options.dtype = a.dtype == "bf16" ? PlanDType::bf16 : PlanDType::fp32;
  if (info.options.dtype == PlanDType::bf16 && !has_bf16_instructions())
    throw Error(ErrorKind::unsupported, {.where = "--dtype bf16",
                                         .rule = "this processor has no AVX512-BF16",
                                         .expected = "fp32 or int8"});
  const std::string out = plan_path(a);
  write_plan(out, std::move(source.file.graph), info);
  const Plan plan(read_plan(out).graph, info.options);  // so that what cannot run is told here
  if (a.json)
    fmt::print("{}\n", Json{{"plan", out},
                            {"dtype", a.dtype},
                            {"weight_bytes", plan.weight_bytes()},
                            {"memory_bytes", plan.memory_bytes()},
                            {"layers", plan.layers().size()}}
                           .dump(1));
  else
    fmt::print("{}: {}, {} layers, {:.2f} MB of weights, {:.2f} MB of memory\n", out, a.dtype,
               plan.layers().size(), static_cast<double>(plan.weight_bytes()) / 1e6,
               static_cast<double>(plan.memory_bytes()) / 1e6);
  return 0;
}

TypeChoice choose(const CompileArguments& a, const NetworkSource& source) {
  TypeChoiceOptions options{.plan = options_of(a)};
  options.quantize = quantize_options(a);
  if (a.dtype == "int8") options.types = {ElementType::fp32, ElementType::int8};
  if (a.dtype == "int8" && a.force) options.forced = ElementType::int8;
  const bool terminal = isatty(STDERR_FILENO) != 0;
  if (terminal)
    options.progress = [](const std::string& text) { fmt::print(stderr, "\r\x1b[K{}", text); };
  TypeChoice choice = choose_type(source.file.graph, source.samples, options);
  if (terminal) fmt::print(stderr, "\r\x1b[K");
  return choice;
}

// Integers were asked for, and were refused.
void check_chosen(const CompileArguments& a, const TypeChoice& choice) {
  for (const TypeTrial& trial : choice.trials)
    if (trial.type == ElementType::int8 && &trial != &choice.trials[choice.chosen])
      throw Error(ErrorKind::unsupported,
                  {.where = a.network.what,
                   .rule = "int8 " + trial.refused,
                   .hint = trial.seconds == 0 ? "--dtype fp32 runs it" : "--force writes it"});
}

}  // namespace

int compile(const CompileArguments& a) {
  const auto only_for = [](const char* option, const char* dtype) {
    throw Error(ErrorKind::invalid_argument,
                {.where = option, .rule = "has no use here", .expected = dtype});
  };
  const bool measures = a.dtype == "int8" || a.dtype == "auto";
  if (a.force && a.dtype != "int8") only_for("--force", "--dtype int8");
  if (!a.samples.images.empty() && !measures) only_for("--images", "--dtype int8 or auto");
  if (a.dtype == "fp32" || a.dtype == "bf16") return compile_as_asked(a);
  const NetworkSource source = open_network(a.network, &a.samples);
  const TypeChoice choice = choose(a, source);
  if (a.dtype == "int8") check_chosen(a, choice);
  PlanInfo info = source.file.info;
  info.options = choice.options;
  const std::string out = plan_path(a);
  write_plan(out, choice.graph, info);
  if (a.json) {
    Json trials = Json::array();
    for (const TypeTrial& trial : choice.trials) trials.push_back(to_json(trial));
    fmt::print("{}\n", Json{{"plan", out},
                            {"dtype", type_name(choice.trials[choice.chosen].type)},
                            {"samples", source.samples.size()},
                            {"trials", trials}}
                           .dump(1));
    return 0;
  }
  print_trials(choice, source.samples.size());
  fmt::print("{}: {}\n", out, type_name(choice.trials[choice.chosen].type));
  return 0;
}

}  // namespace residua::app
