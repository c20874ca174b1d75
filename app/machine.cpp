#include "app/machine.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "residua/core/threads.h"

namespace residua::app {

namespace {

namespace fs = std::filesystem;

// "key : value" of /proc/cpuinfo or /proc/meminfo; empty when there is none.
std::string proc_value(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (!line.starts_with(key) || colon == std::string::npos) continue;
    const size_t first = line.find_first_not_of(" \t", colon + 1);
    return first == std::string::npos ? "" : line.substr(first);
  }
  return {};
}

uint64_t meminfo_bytes(std::string_view key) {
  return std::strtoull(proc_value("/proc/meminfo", key).c_str(), nullptr, 10) * 1024;
}

// The tightest limit from this process's cgroup (v2) up to the root.
uint64_t cgroup_memory_limit() {
  std::ifstream self("/proc/self/cgroup");
  std::string path;
  for (std::string line; std::getline(self, line);)
    if (line.starts_with("0::")) path = line.substr(3);
  uint64_t limit = 0;
  for (fs::path at = "/sys/fs/cgroup" + path;; at = at.parent_path()) {
    std::ifstream file(at / "memory.max");
    uint64_t bytes = 0;
    if (file >> bytes && (limit == 0 || bytes < limit)) limit = bytes;
    if (at == "/sys/fs/cgroup" || !at.has_relative_path()) return limit;
  }
}

// As room data looks for it: $RESIDUA_CACHE, else $XDG_CACHE_HOME/residua, else ~/.cache/residua.
fs::path cache_folder() {
  if (const char* own = std::getenv("RESIDUA_CACHE"); own && *own) return own;
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg && *xdg)
    return fs::path(xdg) / "residua";
  const char* home = std::getenv("HOME");
  return home && *home ? fs::path(home) / ".cache" / "residua" : fs::path();
}

// Writable itself, or creatable in its first existing ancestor.
bool can_write(fs::path folder) {
  std::error_code ignored;
  while (folder.has_relative_path() && !fs::exists(folder, ignored)) folder = folder.parent_path();
  return fs::is_directory(folder, ignored) && access(folder.c_str(), W_OK | X_OK) == 0;
}

}  // namespace

Json cpu_facts() {
  Json features = Json::object();
#if defined(__x86_64__)
  features["avx2"] = __builtin_cpu_supports("avx2") != 0;
  features["fma"] = __builtin_cpu_supports("fma") != 0;
  features["avx512f"] = __builtin_cpu_supports("avx512f") != 0;
  features["avx512_vnni"] = __builtin_cpu_supports("avx512vnni") != 0;
  features["avx512_bf16"] = __builtin_cpu_supports("avx512bf16") != 0;
  features["amx_bf16"] =
      proc_value("/proc/cpuinfo", "flags").find(" amx_bf16") != std::string::npos;
#endif
  return {{"model", proc_value("/proc/cpuinfo", "model name")},
          {"processors", std::thread::hardware_concurrency()},
          {"features", features}};
}

Json thread_facts() {
  const ThreadChoice choice = choose_threads();
  return {{"count", choice.count}, {"reason", choice.reason}};
}

Json memory_facts() {
  return {{"total_bytes", meminfo_bytes("MemTotal")},
          {"available_bytes", meminfo_bytes("MemAvailable")},
          {"cgroup_limit_bytes", cgroup_memory_limit()}};
}

Json data_facts() {
  Json facts = Json::object();
  std::error_code ignored;
  const char* named = std::getenv("RESIDUA_DATA");
  facts["RESIDUA_DATA"] = named ? named : "";
  if (named && *named) facts["RESIDUA_DATA_exists"] = fs::is_directory(named, ignored);
  const fs::path cache = cache_folder();
  facts["cache"] = cache.string();
  facts["cache_writable"] = can_write(cache);
  return facts;
}

}  // namespace residua::app
