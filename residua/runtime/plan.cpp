#include "residua/runtime/plan.h"

#include "residua/runtime/choose_blocks.h"
#include "residua/runtime/lowering.h"
#include "residua/runtime/parallel.h"

namespace residua {

void PlanOptions::fields(Fields& f) {
  f.add("dtype", dtype, "type of real numbers between the layers");
  f.add("threads", threads, "threads of a run; 0: as many as the limits allow",
        {.min = 0, .max = 4096});
  f.add("kernels", kernels, "choose kernels by a fixed rule, or by measured time");
  f.add("winograd", winograd, "allow Winograd's convolutions, which are less exact");
  f.add("fused_blocks", fused_blocks,
        "run inverted-residual blocks by one kernel that keeps their middle in the cache, in fp32; "
        "where kernels are measured, those that it is faster for");
  f.add("cache", cache, "folder of measured choices; empty: the user's cache folder");
}

Plan::Plan(const Graph& graph, const PlanOptions& options, std::shared_ptr<WeightStore> weights) {
  verify(graph);
  if (!weights) weights = std::make_shared<WeightStore>();
  Graph fused;
  if (options.fused_blocks) fused = with_fused_blocks(graph, options);
  Lowering lowering(options.fused_blocks ? fused : graph, options, *weights);
  const ThreadCount threads(lowering.threads());
  lowered_ = lowering.lower_all();
}

Plan::~Plan() = default;

const std::vector<std::string>& Plan::input_names() const { return lowered_->input_names; }
const std::vector<std::string>& Plan::output_names() const { return lowered_->output_names; }
const std::vector<TensorType>& Plan::input_types() const { return lowered_->input_types; }
const std::vector<TensorType>& Plan::output_types() const { return lowered_->output_types; }
const std::vector<LayerInfo>& Plan::layers() const { return lowered_->layers; }
int Plan::threads() const { return lowered_->threads; }
int64_t Plan::memory_bytes() const { return lowered_->block_bytes; }
int64_t Plan::weight_bytes() const { return lowered_->weight_bytes; }

}  // namespace residua
