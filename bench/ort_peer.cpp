// ort_peer MODEL.onnx [--threads N] [--runs N] [--warmup N] [--size NAME=N]... [--no-optimise]
// Times ONNX Runtime on a model with random inputs and prints one line of JSON: milliseconds of the
// runs after warm-up, of loading and of the first run, and the process's peak memory. With --runs 0
// it only loads and runs once, for the cold start: the caller times the process.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <stdexcept>

#include "residua/core/json.h"
#include "residua/core/random.h"
#include "residua/graph/numbers.h"
#include "tests/peers/onnx_runtime.h"

namespace {

using residua::peers::OnnxRuntime;
using residua::peers::PeerInput;
using residua::peers::PeerTensor;
using Clock = std::chrono::steady_clock;

struct Settings {
  std::string model;
  residua::peers::OnnxRuntimeOptions runtime;
  int runs = 20, warmup = 5;
  std::map<std::string, int64_t> sizes;
};

Settings read_settings(int argc, char** argv) {
  Settings s;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const auto value = [&] {
      if (i + 1 >= argc) throw std::runtime_error(option + " needs a value");
      return std::string(argv[++i]);
    };
    if (option == "--threads")
      s.runtime.threads = std::stoi(value());
    else if (option == "--runs")
      s.runs = std::stoi(value());
    else if (option == "--warmup")
      s.warmup = std::stoi(value());
    else if (option == "--no-optimise")
      s.runtime.optimise = false;
    else if (option == "--size") {
      const std::string text = value();
      const size_t at = text.find('=');
      if (at == std::string::npos) throw std::runtime_error("--size needs NAME=N");
      s.sizes[text.substr(0, at)] = std::stoll(text.substr(at + 1));
    } else if (option.starts_with("--") || !s.model.empty()) {
      throw std::runtime_error("unknown argument " + option);
    } else {
      s.model = option;
    }
  }
  if (s.model.empty()) throw std::runtime_error("which model?");
  return s;
}

// Normal numbers; whole ones are 0 and 1, which every table of a model has.
PeerTensor random_tensor(const PeerInput& input, const Settings& settings,
                         residua::Random& random) {
  residua::Numbers numbers{{input.dtype, input.shape}, {}};
  for (size_t i = 0; i < input.shape.size(); ++i) {
    if (input.shape[i] >= 0) continue;
    const auto given = settings.sizes.find(input.symbols[i]);
    numbers.type.shape[i] = given == settings.sizes.end() ? 1 : given->second;
  }
  for (int64_t n = residua::checked_numel(numbers.type.shape, input.name); n > 0; --n)
    numbers.data.push_back(residua::is_floating(input.dtype)
                               ? random.normal()
                               : static_cast<double>(random.integer(0, 2)));
  const residua::ConstantData data = residua::write_numbers(numbers);
  return {input.dtype, numbers.type.shape, {data.bytes.begin(), data.bytes.end()}};
}

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

int measure(const Settings& settings) {
  const Clock::time_point start = Clock::now();
  OnnxRuntime session(settings.model, settings.runtime);
  const double load = milliseconds_since(start);
  residua::Random random(1);
  std::vector<PeerTensor> inputs;
  for (const PeerInput& input : session.inputs())
    inputs.push_back(random_tensor(input, settings, random));
  const Clock::time_point first = Clock::now();
  session.run_only(inputs);
  residua::Json result{{"runtime", "onnxruntime " + OnnxRuntime::version()},
                       {"threads", settings.runtime.threads},
                       {"load_ms", load},
                       {"first_run_ms", milliseconds_since(first)}};
  for (int i = 0; i < settings.warmup && settings.runs > 0; ++i) session.run_only(inputs);
  std::vector<double> times;
  for (int i = 0; i < settings.runs; ++i) {
    const Clock::time_point begin = Clock::now();
    session.run_only(inputs);
    times.push_back(milliseconds_since(begin));
  }
  if (!times.empty()) {
    result["runs_ms"] = times;
    std::sort(times.begin(), times.end());
    const size_t half = times.size() / 2;
    result["median_ms"] = times.size() % 2 == 1 ? times[half] : (times[half - 1] + times[half]) / 2;
    result["min_ms"] = times.front();
  }
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  result["peak_bytes"] = int64_t{usage.ru_maxrss} * 1024;
  fmt::print("{}\n", result.dump());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (!OnnxRuntime::library())
      throw std::runtime_error("ONNX Runtime is not installed: scripts/setup --bench");
    return measure(read_settings(argc, argv));
  } catch (const std::exception& error) {
    fmt::print(stderr, "ort_peer: {}\n", error.what());
    return 2;
  }
}
