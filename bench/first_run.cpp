// first_run GRAPH [key=value...]: compiles a graph file and runs it once on zeros, as a program
// does that starts for one image. Prints one line of JSON: milliseconds of each part, and the
// process's peak memory; who calls it times the whole process. Options are those of plans.
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>

#include "residua/graph/graph_file.h"
#include "residua/graph/passes/passes.h"
#include "residua/runtime/session.h"

namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point& start) {
  const Clock::time_point now = Clock::now();
  const double ms = std::chrono::duration<double, std::milli>(now - start).count();
  start = now;
  return ms;
}

using Buffers = std::vector<std::vector<std::byte>>;

Buffers buffers(const std::vector<residua::TensorType>& types) {
  Buffers all;
  for (const auto& type : types)
    all.emplace_back(static_cast<size_t>(residua::checked_bytes(type.shape, type.dtype, "bench")));
  return all;
}

int run_once(int argc, char** argv) {
  residua::Json values = residua::Json::object();
  for (int i = 2; i < argc; ++i) residua::merge_key_value(values, argv[i]);
  residua::PlanOptions options;
  residua::assign(options, values, "options");
  Clock::time_point at = Clock::now();
  residua::Graph graph = residua::read_graph(argv[1]);
  residua::Json result{{"read_ms", milliseconds_since(at)}};
  residua::optimise(graph);
  result["optimise_ms"] = milliseconds_since(at);
  const auto plan = std::make_shared<const residua::Plan>(graph, options);
  graph = {};
  residua::Session session(plan);
  result["compile_ms"] = milliseconds_since(at);
  Buffers inputs = buffers(plan->input_types()), outputs = buffers(plan->output_types());
  std::vector<const void*> from;
  std::vector<void*> to;
  for (auto& x : inputs) from.push_back(x.data());
  for (auto& y : outputs) to.push_back(y.data());
  session.run(from, to);
  result["first_run_ms"] = milliseconds_since(at);
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  result["peak_bytes"] = int64_t{usage.ru_maxrss} * 1024;
  fmt::print("{}\n", result.dump());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc > 1) return run_once(argc, argv);
    fmt::print(stderr, "first_run GRAPH [key=value...]\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "first_run: {}\n", error.what());
  }
  return 2;
}
