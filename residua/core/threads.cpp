#include "residua/core/threads.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace residua {

namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

double parse_quota(const std::string& quota, const std::string& period) {
  char* end = nullptr;
  const double q = std::strtod(quota.c_str(), &end);
  if (end == quota.c_str() || q <= 0) return 0;
  const double p = std::strtod(period.c_str(), nullptr);
  return p > 0 ? q / p : 0;
}

double tighter(double a, double b) { return a == 0 ? b : b == 0 ? a : std::min(a, b); }

// Every ancestor's limit holds too, so walk from the leaf to the root.
template <class Limit>
double tightest_up(std::string path, const Limit& limit) {
  double result = 0;
  while (true) {
    result = tighter(result, limit(path));
    const size_t slash = path.find_last_of('/');
    if (path.empty() || slash == std::string::npos) return result;
    path.resize(slash);
  }
}

// Machines with more than 1024 processors do not fit in a cpu_set_t: then all that the system
// reports.
int affinity_count() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
}

}  // namespace

double cgroup_cpu_quota(const std::string& root, const std::string& self_cgroup) {
  double result = 0;
  std::istringstream lines(self_cgroup);
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    if (controllers == ",,") {
      result = tighter(result, tightest_up(path, [&](const std::string& p) {
                         std::istringstream words(first_line(root + p + "/cpu.max"));
                         std::string quota, period;
                         words >> quota >> period;
                         return parse_quota(quota, period);
                       }));
    } else if (controllers.find(",cpu,") != std::string::npos) {
      result = tighter(result, tightest_up(path, [&](const std::string& p) {
                         const std::string at = root + "/cpu" + p;
                         return parse_quota(first_line(at + "/cpu.cfs_quota_us"),
                                            first_line(at + "/cpu.cfs_period_us"));
                       }));
    }
  }
  return result;
}

ThreadChoice choose_threads(int requested) {
  if (requested > 0) return {requested, fmt::format("{} as requested", requested)};
  const int count = affinity_count();
  ThreadChoice choice{count, fmt::format("{} processors in the affinity mask", count)};
  std::ifstream self("/proc/self/cgroup");
  std::ostringstream text;
  text << self.rdbuf();
  if (const double quota = cgroup_cpu_quota("/sys/fs/cgroup", text.str()); quota > 0) {
    const int limit = std::max(1, static_cast<int>(std::ceil(quota)));
    if (limit < choice.count)
      choice = {limit, fmt::format("cgroup quota of {:.2f} processors", quota)};
  }
  if (const char* omp = std::getenv("OMP_NUM_THREADS")) {
    const int asked = std::atoi(omp);
    if (asked > 0 && asked < choice.count)
      choice = {asked, fmt::format("OMP_NUM_THREADS={}", asked)};
  }
  return choice;
}

}  // namespace residua
