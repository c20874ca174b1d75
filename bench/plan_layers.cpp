// Times of each layer of a compiled graph, over the median run:
//
//   plan_layers NETWORK [RUNS] [key=value...]      e.g. plan_layers resnet50 20 dtype=bf16
//
// NETWORK: a name of networks.h or a file; besides the options of plans, batch=N and integers=true
// for int8. With RUNS 0 it prints the layers only.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "bench/networks.h"
#include "residua/graph/passes/passes.h"
#include "residua/runtime/session.h"

namespace {

double seconds_now() {
  using Clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

double quantile(std::vector<double> numbers, double q) {
  std::sort(numbers.begin(), numbers.end());
  return numbers[static_cast<size_t>(q * static_cast<double>(numbers.size() - 1))];
}

std::vector<std::vector<std::byte>> buffers(const std::vector<residua::TensorType>& types) {
  std::vector<std::vector<std::byte>> all;
  for (const auto& type : types)
    all.emplace_back(static_cast<size_t>(residua::checked_bytes(type.shape, type.dtype, "bench")));
  return all;
}

void print_table(const residua::Plan& plan, const std::vector<double>& seconds, double runs) {
  fmt::print("{:>9} {:>8} {:>8}  {:<14} {:<28} {}\n", "ms", "GFLOP/s", "GB/s", "kind", "kernel",
             "layer");
  for (size_t i = 0; i < seconds.size(); ++i) {
    const residua::LayerInfo& layer = plan.layers()[i];
    const double s = seconds[i] / runs;
    fmt::print("{:>9.4f} {:>8.1f} {:>8.1f}  {:<14} {:<28} {} {}\n", 1e3 * s,
               1e-9 * static_cast<double>(layer.operations) / s,
               1e-9 * static_cast<double>(layer.bytes) / s, layer.kind, layer.kernel, layer.name,
               layer.layout);
  }
}

int measure(int argc, char** argv) {
  residua::Json values = residua::Json::object();
  for (int i = 3; i < argc; ++i) residua::merge_key_value(values, argv[i]);
  int64_t batch = 1;
  bool integers = false;
  if (values.contains("batch")) batch = values["batch"].get<int64_t>();
  if (values.contains("integers")) integers = values["integers"].get<bool>();
  values.erase("batch");
  values.erase("integers");
  residua::PlanOptions options;
  residua::assign(options, values, "options");
  residua::Graph graph = residua::bench::load_network(argv[1], batch);
  residua::optimise(graph);
  if (integers) graph = residua::bench::integer_network(graph);
  const double start = seconds_now();
  const auto plan = std::make_shared<const residua::Plan>(graph, options);
  residua::Session session(plan);
  const double compiled = seconds_now();
  const int runs = argc > 2 ? std::max(0, std::atoi(argv[2])) : 20;
  if (runs == 0) {  // how it would run
    for (const residua::LayerInfo& layer : plan->layers())
      fmt::print("{:<14} {:<28} {} {}\n", layer.kind, layer.kernel, layer.name, layer.layout);
    return 0;
  }
  const residua::CalibrationSample inputs = residua::bench::random_sample(graph, 7);
  auto outputs = buffers(plan->output_types());
  std::vector<const void*> from;
  std::vector<void*> to;
  for (const auto& x : inputs) from.push_back(x.bytes.data());
  for (auto& b : outputs) to.push_back(b.data());
  session.run(from, to);
  const double first = seconds_now();
  std::vector<double> times, layers(plan->layers().size(), 0);
  for (int i = 0; i < runs; ++i) {
    const double before = seconds_now();
    session.run(from, to);
    times.push_back(1e3 * (seconds_now() - before));
  }
  for (int i = 0; i < runs; ++i) session.run_timed(from, to, layers);
  print_table(*plan, layers, runs);
  fmt::print(
      "compile {:.1f} ms, first run {:.1f} ms; run P50 {:.3f}, P90 {:.3f}, least {:.3f} ms; "
      "memory {:.2f} MB, packed weights {:.2f} MB, {} threads\n",
      1e3 * (compiled - start), 1e3 * (first - compiled), quantile(times, 0.5),
      quantile(times, 0.9), quantile(times, 0), 1e-6 * static_cast<double>(plan->memory_bytes()),
      1e-6 * static_cast<double>(plan->weight_bytes()), plan->threads());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "plan_layers NETWORK [RUNS] [key=value...]\n");
    return 2;
  }
  try {
    return measure(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "plan_layers: {}\n", error.what());
    return 2;
  }
}
