#include "app/bench_subjects.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <map>

#include "app/network_source.h"
#include "app/run_parts.h"
#include "residua/core/error.h"
#include "residua/graph/passes/passes.h"
#include "residua/runtime/batch.h"

namespace residua::app {

namespace {

Json settings_of(const BenchArguments& a) {
  Json set = Json::object();
  if (a.threads > 0) set["threads"] = a.threads;
  if (!a.kernels.empty()) set["kernels"] = a.kernels;
  if (a.winograd) set["winograd"] = true;
  if (a.fused_blocks) set["fused_blocks"] = true;
  return set;
}

// The training library and its threads stay out of the process that measures. What fails there is
// done again here, where it says why.
void in_own_process(const std::function<void()>& work) {
  const pid_t child = fork();
  if (child < 0) throw_io_error("a benchmark", "make a process", errno);
  if (child == 0) {
    try {
      work();
    } catch (...) {
      _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) work();
}

}  // namespace

BenchFiles::~BenchFiles() {
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

std::string BenchFiles::file_of(const std::string& word) {
  if (std::filesystem::is_regular_file(word)) return word;
  if (folder_.empty()) {
    std::string name = std::filesystem::temp_directory_path() / "residua-bench-XXXXXX";
    if (!mkdtemp(name.data())) throw_io_error(name, "make", errno);
    folder_ = name;
  }
  const std::string path =
      std::filesystem::path(folder_) / (std::filesystem::path(word).filename().string() + ".plan");
  in_own_process([&] {
    ModelFile made = open_network({.what = word}).file;
    write_plan(path, std::move(made.graph), made.info);
  });
  return path;
}

std::vector<BenchSource> bench_sources(const std::vector<std::string>& words) {
  std::map<std::string, int> uses;
  std::vector<BenchSource> sources;
  for (const std::string& word : words) {
    sources.push_back({std::filesystem::path(word).stem().string(), word});
    ++uses[sources.back().name];
  }
  for (BenchSource& source : sources)
    if (uses[source.name] > 1) source.name = source.path;
  return sources;
}

std::vector<BenchRequest> bench_requests(size_t sources, const BenchArguments& a) {
  std::vector<std::string> dtypes = a.dtypes;
  if (dtypes.empty()) dtypes.push_back({});
  std::vector<int64_t> batches = a.batches;
  if (batches.empty()) batches.push_back(0);
  std::vector<BenchRequest> requests;
  for (size_t source = 0; source < sources; ++source)
    for (const int64_t batch : batches)
      for (const std::string& dtype : dtypes) requests.push_back({source, dtype, batch});
  return requests;
}

BenchSubject open_subject(const BenchSource& source) {
  const double begin = run_clock();
  BenchSubject subject{source, read_model(source.path)};
  if (subject.file.kind != ModelKind::plan) optimise(subject.file.graph);
  subject.seconds = run_clock() - begin;
  return subject;
}

BenchVariant bench_variant(const BenchSubject& subject, const BenchRequest& request,
                           const BenchArguments& a) {
  Json set = settings_of(a);
  if (!request.dtype.empty()) set["dtype"] = request.dtype;
  const Graph& graph = subject.file.graph;
  return {subject.source.name, request.batch > 0 ? with_batch(graph, request.batch) : graph,
          plan_options(subject.file, set), subject.seconds};
}

}  // namespace residua::app
