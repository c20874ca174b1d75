#pragma once
// A network compiled for this processor: a list of steps with everything decided before the first
// run: kernels, layouts, packed weights, the place of each value in one block of memory.
//
//   auto plan = std::make_shared<const Plan>(graph, PlanOptions{});
//   Session session(plan);
//   session.run({{image.data()}}, {{scores.data()}});
//
// A plan is for one set of sizes; CompiledModel (compiled_model.h) makes one for each that it
// meets. A plan never changes after its construction and may be used by many sessions at once.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "residua/core/options.h"
#include "residua/graph/graph.h"

namespace residua {

enum class PlanDType { fp32, bf16 };
template <>
struct EnumNames<PlanDType> {
  static constexpr std::array names{"fp32", "bf16"};
};

enum class KernelChoice { fixed, measured };
template <>
struct EnumNames<KernelChoice> {
  static constexpr std::array names{"fixed", "measured"};
};

struct PlanOptions {
  PlanDType dtype = PlanDType::fp32;
  int64_t threads = 0;
  KernelChoice kernels = KernelChoice::fixed;
  bool winograd = false;
  bool fused_blocks = false;
  std::string cache = {};
  void fields(Fields& f);
};

// One step, for tables of layers.
struct LayerInfo {
  std::string name = {};    // of the node, or of its first output
  std::string kind = {};    // the operator, or what was put in: "reorder"
  std::string kernel = {};  // which implementation runs
  std::string layout = {};  // of the first output, with its type: "f32 blocked16 [1, 64, 56, 56]"
  DType arithmetic = DType::f32;  // of the factors: f32, bf16, u8 or i8
  int64_t operations = 0;         // multiplications and additions
  int64_t bytes = 0;              // read and written, weights included
};

class Lowered;
class WeightStore;

class Plan {
 public:
  // Values of type f32 are kept in `options.dtype` between the steps. Integer arithmetic is where
  // the graph says so by quantize and dequantize nodes (quantize.h). Throws what `verify` throws,
  // and ErrorKind::unsupported, naming the node, for what no kernel computes.
  explicit Plan(const Graph& graph, const PlanOptions& options = {},
                std::shared_ptr<WeightStore> weights = nullptr);
  ~Plan();
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  const std::vector<std::string>& input_names() const;
  const std::vector<std::string>& output_names() const;
  const std::vector<TensorType>& input_types() const;
  const std::vector<TensorType>& output_types() const;
  const std::vector<LayerInfo>& layers() const;
  int threads() const;
  int64_t memory_bytes() const;  // of one session
  int64_t weight_bytes() const;  // packed, of the plan

  const Lowered& lowered() const { return *lowered_; }  // for Session

 private:
  std::unique_ptr<Lowered> lowered_;
};

}  // namespace residua
