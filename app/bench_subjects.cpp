#include "app/bench_subjects.h"

#include <filesystem>

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

}  // namespace

BenchSubject open_subject(const std::string& word) {
  if (std::error_code ignored; !std::filesystem::exists(word, ignored))
    throw Error(
        ErrorKind::not_found,
        {.where = word, .rule = "is no file", .expected = "a plan, a graph or an ONNX model"});
  const double begin = run_clock();
  BenchSubject subject{std::filesystem::path(word).stem().string(), read_model(word)};
  if (subject.file.kind != ModelKind::plan) optimise(subject.file.graph);
  subject.seconds = run_clock() - begin;
  return subject;
}

std::vector<BenchRequest> bench_requests(const BenchArguments& a) {
  std::vector<std::string> dtypes = a.dtypes;
  if (dtypes.empty()) dtypes.push_back({});
  std::vector<int64_t> batches = a.batches;
  if (batches.empty()) batches.push_back(0);
  std::vector<BenchRequest> requests;
  for (const std::string& word : a.models)
    for (const int64_t batch : batches)
      for (const std::string& dtype : dtypes) requests.push_back({word, dtype, batch});
  return requests;
}

BenchVariant bench_variant(const BenchSubject& subject, const BenchRequest& request,
                           const BenchArguments& a) {
  Json set = settings_of(a);
  if (!request.dtype.empty()) set["dtype"] = request.dtype;
  const Graph& graph = subject.file.graph;
  return {subject.name, request.batch > 0 ? with_batch(graph, request.batch) : graph,
          plan_options(subject.file, set), subject.seconds};
}

}  // namespace residua::app
