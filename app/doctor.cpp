#include "app/doctor.h"

#include <fmt/format.h>
#include <unistd.h>

#include "app/commands_library.h"
#include "app/machine.h"
#include "app/terminal.h"
#include "app/version.h"
#include "residua/core/error.h"
#include "residua/core/json.h"

namespace residua::app {

namespace {

Json training_facts() {
  try {
    return parse_json(commands_library().training_environment(), "training environment");
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::internal) throw;
    return {{"missing", e.what()}};
  }
}

void warn(Json& facts, std::string problem, std::string mend) {
  facts["warnings"].push_back({{"problem", std::move(problem)}, {"mend", std::move(mend)}});
}

bool fights_openmp(const Json& blas) {
  for (const Json& path : blas)
    if (path.get<std::string>().find("openblas-pthread") != std::string::npos) return true;
  return false;
}

bool is_plain_blas(const Json& blas) {
  for (const Json& path : blas) {
    const auto text = path.get<std::string>();
    for (const char* fast : {"openblas", "mkl", "blis", "atlas"})
      if (text.find(fast) != std::string::npos) return false;
  }
  return !blas.empty();
}

void add_warnings(Json& facts) {
  facts["warnings"] = Json::array();
  const Json& training = facts["training"];
  if (training.contains("missing")) {
    warn(facts, training["missing"], "reinstall residua, or build it with training");
  } else if (fights_openmp(training["blas"])) {
    warn(facts,
         "BLAS is libopenblas0-pthread, whose threads fight with libtorch's OpenMP threads: models "
         "run several times slower",
         "apt-get install libopenblas0-openmp && apt-get remove libopenblas0-pthread");
  } else if (is_plain_blas(training["blas"])) {
    warn(facts, "BLAS is the unoptimised reference library: matrix products run many times slower",
         "apt-get install libopenblas0-openmp");
  }
  const Json& features = facts["cpu"]["features"];
  if (features.contains("avx2") && !features["avx2"])
    warn(facts, "this processor has no AVX2: convolutions are slow",
         "use a machine of 2013 or later");
  const Json& data = facts["data"];
  if (data.contains("RESIDUA_DATA_exists") && !data["RESIDUA_DATA_exists"])
    warn(facts,
         fmt::format("RESIDUA_DATA names {}, which is no folder",
                     data["RESIDUA_DATA"].get<std::string>()),
         "create it or unset the variable");
  if (!data["cache_writable"])
    warn(facts,
         fmt::format("the data folder '{}' cannot be written", data["cache"].get<std::string>()),
         "set RESIDUA_CACHE to a writable folder, or name data by path");
}

std::string gigabytes(const Json& bytes) {
  return fmt::format("{:.1f} GiB", bytes.get<double>() / (1 << 30));
}

void print_line(std::string_view name, std::string_view value) {
  fmt::print("{:<14}{}\n", name, value);
}

std::string words(const Json& list) {
  std::string text;
  for (const Json& item : list) text += (text.empty() ? "" : ", ") + item.get<std::string>();
  return text.empty() ? "none" : text;
}

void print_training(const Json& training) {
  if (training.contains("missing")) return print_line("libtorch", "not available");
  print_line("libtorch", training["libtorch"].get<std::string>());
  print_line("oneDNN", training["onednn"].get<std::string>());
  print_line("OpenMP", training["openmp"].get<std::string>());
  print_line("BLAS", words(training["blas"]));
  print_line("GPU", training["gpus"] == 0 ? "none"
                                          : fmt::format("{} by CUDA", training["gpus"].get<int>()));
}

void print_facts(const Json& facts) {
  const bool colours = has_colours(STDOUT_FILENO);
  print_line("residua", facts["residua"]["build"].get<std::string>());
  print_training(facts["training"]);
  const Json& cpu = facts["cpu"];
  print_line("processor", fmt::format("{}, {} visible", cpu["model"].get<std::string>(),
                                      cpu["processors"].get<int>()));
  Json present = Json::array(), absent = Json::array();
  for (const auto& [name, has] : cpu["features"].items())
    (has.get<bool>() ? present : absent).push_back(name);
  print_line("features", fmt::format("{} (without: {})", words(present), words(absent)));
  print_line("threads", fmt::format("{}: {}", facts["threads"]["count"].get<int>(),
                                    facts["threads"]["reason"].get<std::string>()));
  const Json& memory = facts["memory"];
  print_line("memory",
             fmt::format("{}, {} available{}", gigabytes(memory["total_bytes"]),
                         gigabytes(memory["available_bytes"]),
                         memory["cgroup_limit_bytes"] == 0
                             ? ""
                             : ", limited to " + gigabytes(memory["cgroup_limit_bytes"])));
  const Json& data = facts["data"];
  const auto named = data["RESIDUA_DATA"].get<std::string>();
  print_line("RESIDUA_DATA", named.empty() ? "not set" : named);
  print_line("data folder", fmt::format("{}{}", data["cache"].get<std::string>(),
                                        data["cache_writable"] ? "" : " (not writable)"));
  for (const Json& w : facts["warnings"])
    fmt::print("\n{} {}.\n  {}\n", bold("Warning:", colours), w["problem"].get<std::string>(),
               w["mend"].get<std::string>());
  if (facts["warnings"].empty()) fmt::print("\nNothing to mend.\n");
}

}  // namespace

int doctor(const DoctorArguments& arguments) {
  Json facts;
  facts["residua"] = {{"version", kVersion},
                      {"compiler", kCompiler},
                      {"build_type", kBuildType},
                      {"build", kBuildVersion}};
  facts["training"] = training_facts();
  facts["cpu"] = cpu_facts();
  facts["threads"] = thread_facts();
  facts["memory"] = memory_facts();
  facts["data"] = data_facts();
  add_warnings(facts);
  if (arguments.json)
    fmt::print("{}\n", facts.dump(2));
  else
    print_facts(facts);
  return 0;
}

}  // namespace residua::app
