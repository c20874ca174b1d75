// memory_plans resnet|lstm|adjoint SIZE... [PLAN...]
// Tables to plot, separated by tabs: what, size, value.

#include <ATen/Parallel.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "residua/analysis/probe.h"
#include "residua/core/error.h"

namespace {

residua::Component chosen_probe(const std::string& what, const std::vector<int64_t>& sizes,
                                const std::vector<std::string>& plans) {
  if (what == "adjoint") return {"ode-adjoint", {{"steps", sizes}, {"repeats", 5}}};
  residua::Json options{{"carrier", what}, {"sizes", sizes}, {"steps", 3}};
  options["width"] = what == "lstm" ? 256 : 16;
  options["batch"] = what == "lstm" ? 64 : 32;
  if (!plans.empty()) options["plans"] = plans;
  return {"memory-scaling", options};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "memory_plans resnet|lstm|adjoint SIZE... [PLAN...]\n");
    return 2;
  }
  if (const char* threads = std::getenv("RESIDUA_THREADS")) at::set_num_threads(std::atoi(threads));
  try {
    std::vector<int64_t> sizes;
    std::vector<std::string> plans;
    for (int i = 2; i < argc; ++i) {
      if (const int64_t size = std::atoll(argv[i]); size > 0)
        sizes.push_back(size);
      else
        plans.push_back(argv[i]);
    }
    const auto probe = residua::probes().create(chosen_probe(argv[1], sizes, plans));
    const residua::ProbeResult result = probe->run({.random = residua::Random(0)});
    for (const residua::Series& s : result.series)
      for (size_t i = 0; i < s.x.size(); ++i)
        std::printf("%s\t%.0f\t%.6g\n", s.name.c_str(), s.x[i], s.measured[i]);
    for (const auto& [name, value] : result.metrics)
      std::printf("# %s\t%.6g\n", name.c_str(), value);
  } catch (const residua::Error& e) {
    std::fprintf(stderr, "memory_plans: %s\n", e.what());
    return e.exit_code();
  }
}
