#include "residua/runtime/kernel_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "residua/core/error.h"
#include "residua/core/json.h"
#include "residua/core/log.h"
#include "residua/io/atomic_file.h"
#include "residua/io/sha256.h"

namespace residua {

namespace {

constexpr int kChoicesVersion = 2;
constexpr int kRounds = 4;  // turns of each candidate
constexpr std::uintmax_t kMaxChoicesBytes = 4 << 20;

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 1);
  return "unknown";
}

std::string cache_folder(const PlanOptions& options) {
  if (!options.cache.empty()) return options.cache;
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg && *xdg)
    return std::string(xdg) + "/residua/kernels";
  if (const char* home = std::getenv("HOME"); home && *home)
    return std::string(home) + "/.cache/residua/kernels";
  return {};
}

std::string read_small_file(const std::string& path) {
  std::error_code code;
  if (const auto size = std::filesystem::file_size(path, code); code || size > kMaxChoicesBytes)
    return {};
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Choices of an earlier run; a file that is not what it should be counts as none.
std::map<std::string, std::string> read_choices(const std::string& path, const std::string& cpu) {
  std::map<std::string, std::string> choices;
  const std::string text = read_small_file(path);
  if (text.empty()) return choices;
  try {
    const Json file = parse_json(text, path, 4);
    if (file.at("version") != kChoicesVersion || file.at("cpu") != cpu) return choices;
    for (const auto& [layer, name] : file.at("choices").items())
      choices[layer] = name.get<std::string>();
  } catch (const std::exception&) {
    choices.clear();
  }
  return choices;
}

}  // namespace

KernelChooser::KernelChooser(const Graph& graph, const PlanOptions& options, int threads) {
  measured_ = options.kernels == KernelChoice::measured;
  if (!measured_) return;
  cpu_ = cpu_model();
  const std::string key = fmt::format("{}\n{}\n{}\n{}\n{}", cpu_, static_cast<int>(options.dtype),
                                      threads, options.winograd, to_text(graph));
  const std::string folder = cache_folder(options);
  if (folder.empty()) return;
  path_ = folder + "/" + sha256_hex(std::as_bytes(std::span(key))).substr(0, 32) + ".json";
  choices_ = read_choices(path_, cpu_);
}

size_t KernelChooser::choose(const std::string& layer, const std::vector<std::string>& names,
                             const std::function<double(size_t)>& seconds) {
  if (!measured_ || names.size() < 2) return 0;
  const auto known = choices_.find(layer);
  if (known != choices_.end()) {
    const auto at = std::find(names.begin(), names.end(), known->second);
    if (at != names.end()) return static_cast<size_t>(at - names.begin());
  }
  // By turns, so that other work on the machine does not fall on one of them alone.
  std::vector<double> least(names.size(), 1e30);
  for (int round = 0; round < kRounds; ++round)
    for (size_t i = 0; i < names.size(); ++i) least[i] = std::min(least[i], seconds(i));
  const auto best =
      static_cast<size_t>(std::min_element(least.begin(), least.end()) - least.begin());
  choices_[layer] = names[best];
  changed_ = true;
  return best;
}

void KernelChooser::save() const {
  if (!changed_ || path_.empty()) return;
  Json file{{"version", kChoicesVersion}, {"cpu", cpu_}, {"choices", choices_}};
  try {
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path());
    write_file_atomic(path_, file.dump(1));
  } catch (const std::exception& error) {
    log_message(LogLevel::warning,
                fmt::format("measured kernel choices are not kept: {}", error.what()));
  }
}

double least_seconds(const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  call();
  double least = 1e30;
  for (int i = 0; i < 3; ++i) {
    const auto before = Clock::now();
    call();
    least = std::min(least, std::chrono::duration<double>(Clock::now() - before).count());
  }
  return least;
}

}  // namespace residua
