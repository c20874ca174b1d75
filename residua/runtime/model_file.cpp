#include "residua/runtime/model_file.h"

#include <dnnl.h>
#include <fmt/format.h>

#include <filesystem>

#include "residua/core/error.h"
#include "residua/core/log.h"
#include "residua/graph/graph_file.h"
#include "residua/graph/onnx/onnx.h"
#include "residua/io/safetensors.h"

namespace residua {

namespace {

// A JSON header behind its length of eight bytes.
bool looks_like_safetensors(std::span<const std::byte> bytes) {
  return bytes.size() > 8 && bytes[8] == std::byte{'{'};
}

// The IR version, the first field of the message that every exporter writes first.
bool looks_like_onnx(std::span<const std::byte> bytes, const std::string& path) {
  return std::filesystem::path(path).extension() == ".onnx" ||
         (bytes.size() > 2 && bytes[0] == std::byte{0x08} && bytes[1] < std::byte{0x20});
}

}  // namespace

ModelFile read_model(const std::string& path) {
  const OwnedBytes bytes = map_file(path);
  ModelFile model{.path = path, .graph = {}, .info = {}};
  if (looks_like_safetensors(bytes.bytes)) {
    const auto file = parse_safetensors(bytes, path);
    if (is_plan(*file)) {
      PlanFile plan = plan_of_file(*file);
      model.kind = ModelKind::plan;
      model.graph = std::move(plan.graph);
      model.info = std::move(plan.info);
      return model;
    }
    model.graph = graph_of_file(*file);
  } else if (looks_like_onnx(bytes.bytes, path)) {
    model.kind = ModelKind::onnx;
    model.graph = read_onnx(path).graph;
  } else {
    throw Error(bytes.bytes.empty() ? ErrorKind::corrupt_file : ErrorKind::unsupported,
                {.where = path,
                 .rule = bytes.bytes.empty() ? "is empty" : "is no model in a known format",
                 .expected = "a plan, a graph or an ONNX model"});
  }
  model.info.images = preprocessing_of(model.graph, &model.assumes_images);
  return model;
}

PlanOptions plan_options(const ModelFile& file, const Json& set) {
  PlanOptions options = file.info.options;
  assign(options, set, "options");
  if (options.dtype != PlanDType::bf16 || has_bf16_instructions()) return options;
  if (set.contains("dtype"))
    throw Error(
        ErrorKind::unsupported,
        {.where = "options.dtype",
         .rule = "this processor has no instructions for bf16 (AVX512-BF16), which would be "
                 "slower than fp32",
         .expected = "fp32",
         .received = "bf16"});
  log_message(LogLevel::warning,
              fmt::format("{} was compiled for bf16, for which this processor has no instructions "
                          "(AVX512-BF16): it runs in fp32",
                          file.path));
  options.dtype = PlanDType::fp32;
  return options;
}

bool has_bf16_instructions() {
  const auto isa = static_cast<unsigned>(dnnl_get_effective_cpu_isa());
  constexpr auto kNeeded = static_cast<unsigned>(dnnl_cpu_isa_avx512_core_bf16);
  return (isa & kNeeded) == kNeeded;
}

}  // namespace residua
