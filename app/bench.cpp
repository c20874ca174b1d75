// `residua bench`

#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <set>

#include "app/bench_cold.h"
#include "app/bench_text.h"
#include "app/machine.h"
#include "app/progress_line.h"
#include "app/terminal.h"
#include "app/version.h"
#include "residua/core/error.h"
#include "residua/io/atomic_file.h"
#include "residua/runtime/bench_report.h"

namespace residua::app {

namespace {

constexpr size_t kLayersShown = 10;

Json bench_machine(int threads) {
  const Json cpu = cpu_facts(), memory = memory_facts();
  std::string features;
  for (const auto& [name, has] : cpu["features"].items())
    if (has.get<bool>()) features += (features.empty() ? "" : " ") + name;
  return {{"processor", cpu["model"]},
          {"features", features},
          {"threads", threads},
          {"memory", fmt::format("{:.1f} GiB", memory["total_bytes"].get<double>() / (1 << 30))},
          {"residua", kBuildVersion}};
}

std::vector<DType> arithmetic_of(const std::vector<BenchResult>& results) {
  std::set<DType> types{DType::f32};
  for (const BenchResult& result : results)
    for (const LayerTime& layer : result.layers)
      types.insert(layer.info.arithmetic == DType::i8 ? DType::u8 : layer.info.arithmetic);
  return {types.begin(), types.end()};
}

std::string report_title(const std::vector<BenchSource>& sources) {
  std::string title;
  for (const BenchSource& source : sources) title += (title.empty() ? "" : ", ") + source.name;
  return title;
}

// In turns.
std::vector<BenchResult> measure(const std::vector<BenchVariant>& variants,
                                 const BenchOptions& options) {
  std::unique_ptr<ProgressLine> line;
  return run_bench(variants, options, [&](int64_t done, int64_t of) {
    if (!line) line = std::make_unique<ProgressLine>(of, "run");
    line->show(done);
  });
}

void set_cold_start(BenchResult& result, const ColdStart& cold) {
  result.open_seconds = cold.open;
  result.compile_seconds = cold.compile;
  result.first_seconds = cold.first;
  result.peak_bytes = cold.peak_bytes;
}

void print_bench(const std::vector<BenchResult>& results, const Roofs& roofs,
                 const BenchArguments& a, const Json& machine) {
  const bool colours = has_colours(STDOUT_FILENO);
  fmt::print("{}; {} runs of each after {} for warm-up, taking turns\n{}",
             machine["processor"].get<std::string>(), a.repeat, a.warmup, roofs_text(roofs));
  fmt::print("\n{}", variants_text(results, colours));
  for (const BenchResult& result : results)
    fmt::print("\n{}", layers_text(result, roofs, a.layers ? SIZE_MAX : kLayersShown, colours));
}

}  // namespace

int bench(const BenchArguments& arguments) {
  BenchFiles files;
  BenchArguments a = arguments;
  for (std::string& word : a.models) word = files.file_of(word);
  const std::vector<BenchSource> sources = bench_sources(a.models);
  const std::vector<BenchRequest> requests = bench_requests(sources.size(), a);
  std::vector<ColdStart> cold;  // first, while this process has neither threads nor weights
  for (const BenchRequest& request : requests)
    cold.push_back(measure_cold_start(sources[request.source], request, a));
  std::vector<BenchSubject> subjects;
  for (const BenchSource& source : sources) subjects.push_back(open_subject(source));
  std::vector<BenchVariant> variants;
  for (const BenchRequest& request : requests)
    variants.push_back(bench_variant(subjects[request.source], request, a));
  const BenchOptions options{.warmup = a.warmup, .repeat = a.repeat};
  std::vector<BenchResult> results = measure(variants, options);
  for (size_t i = 0; i < results.size(); ++i) set_cold_start(results[i], cold[i]);
  const int threads = results.front().threads;
  const Roofs roofs = measure_roofs(arithmetic_of(results), threads);
  const Json machine = bench_machine(threads);
  const Json found = bench_to_json(results, options, roofs, machine);
  if (!a.report.empty()) write_file_atomic(a.report, bench_page(report_title(sources), found));
  if (a.json)
    fmt::print("{}\n", found.dump(1, ' ', false, Json::error_handler_t::replace));
  else
    print_bench(results, roofs, a, machine);
  return 0;
}

}  // namespace residua::app
