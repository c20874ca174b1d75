// Plan files: what is read must be sound; small ones are compiled and run.
#include "residua/runtime/plan_file.h"
#include "residua/runtime/session.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace residua;

constexpr int64_t kMostElements = 5000, kMostNodes = 30;

bool is_small(const Graph& graph) {
  int64_t elements = 0;
  for (const Value& value : graph.values) {
    const int64_t count = checked_numel(value.type.shape, "fuzz");
    if (count > kMostElements) return false;
    elements += count;
  }
  return elements <= kMostElements && static_cast<int64_t>(graph.nodes.size()) <= kMostNodes;
}

void compile_and_run(const PlanFile& file) {
  PlanOptions options = file.info.options;
  options.threads = 1;
  options.kernels = KernelChoice::fixed;  // no measuring, no files
  try {
    Session session(std::make_shared<const Plan>(file.graph, options));
    std::vector<std::vector<std::byte>> memory;
    std::vector<const void*> inputs;
    std::vector<void*> outputs;
    const auto room = [&](const TensorType& type) {
      memory.emplace_back(static_cast<size_t>(checked_bytes(type.shape, type.dtype, "fuzz")) + 64);
      return memory.back().data();
    };
    for (const TensorType& type : session.plan().input_types()) inputs.push_back(room(type));
    for (const TensorType& type : session.plan().output_types()) outputs.push_back(room(type));
    session.run(inputs, outputs);
  } catch (const Error& error) {
    // What no kernel computes, an index beyond its axis, or a value that is too large.
    if (error.kind() == ErrorKind::internal) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::expect_error_or_success([&] {
    const PlanFile file = parse_plan(fuzz::heap_copy(data, size), "input");
    if (file.info.images) ImageInput input(*file.info.images);
    if (is_small(file.graph)) compile_and_run(file);
  });
  return 0;
}
