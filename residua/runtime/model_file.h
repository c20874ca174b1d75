#pragma once
// Whatever can be compiled, opened: a plan, a graph or an ONNX model, told apart by their content.
//
//   const ModelFile file = read_model("resnet50.plan");
//   CompiledModel model(file, plan_options(file, {{"threads", 2}}));

#include <string>

#include "residua/core/json.h"
#include "residua/runtime/plan_file.h"

namespace residua {

enum class ModelKind { plan, graph, onnx };
template <>
struct EnumNames<ModelKind> {
  static constexpr std::array names{"plan", "graph", "onnx"};
};

struct ModelFile {
  std::string path;
  ModelKind kind = ModelKind::graph;
  Graph graph;
  PlanInfo info;                // of graphs and ONNX models: what their metadata say
  bool assumes_images = false;  // that info.images is ImageNet's, for want of something better
};

// Throws what read_plan, read_graph and read_onnx throw; ErrorKind::unsupported for another file.
ModelFile read_model(const std::string& path);

// The file's options with those that the caller sets, `{"dtype": "fp32"}`. A processor without the
// instructions of a plan's bf16 runs it in fp32, with a warning in the log; where the caller asks
// for bf16 that is ErrorKind::unsupported. Throws what `assign` throws.
PlanOptions plan_options(const ModelFile& file, const Json& set);

// AVX512-BF16, as oneDNN sees it: DNNL_MAX_CPU_ISA can take it away.
bool has_bf16_instructions();

}  // namespace residua
