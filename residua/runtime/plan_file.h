#pragma once
// A plan as a file: a graph after all passes (graph/graph_file.h), with a second metadata entry,
// "residua.plan", that says how it shall run and what its images are. Weights lie in plain order:
// packing them for a processor happens when the plan is opened, so that a file runs anywhere.
//
//   {"version": 1,
//    "options": {"dtype": "bf16", "kernels": "fixed", "winograd": false, "fused_blocks": false},
//    "images": {"height": 224, "width": 224, "resize": 256, "crop_fraction": 0.875,
//               "interpolation": "bilinear", "mean": [0.485, ...], "stddev": [0.229, ...]},
//    "labels": ["tench", ...], "model": "resnet50", "weights": "resnet50.pth"}
//
// With dtype bf16 the weights of convolutions and linear maps are stored in bf16, with a cast node
// behind each: half the size, and the same numbers that the plan would compute with anyway.

#include <optional>
#include <string>
#include <vector>

#include "residua/graph/graph.h"
#include "residua/io/tensor_file.h"
#include "residua/runtime/image_input.h"
#include "residua/runtime/plan.h"

namespace residua {

inline constexpr int64_t kPlanVersion = 1;
inline constexpr std::string_view kPlanEntry = "residua.plan";  // of the file's metadata

struct PlanInfo {
  PlanOptions options = {};  // threads and cache are the user's and not in the file
  std::optional<ImagePreprocessing> images = {};  // where the input is images
  std::vector<std::string> labels = {};           // of the classes, where known
  std::string model = {}, weights = {};           // what it was made from
};

struct PlanFile {
  Graph graph;
  PlanInfo info;
};

// Runs `optimise` over the graph and writes atomically. Throws what write_graph throws, and
// ErrorKind::invalid_argument where `images` do not fit the graph.
void write_plan(const std::string& path, Graph graph, const PlanInfo& info);

// The file need not be trusted. Throws what read_graph throws, and ErrorKind::unsupported for
// another version of the form.
PlanFile read_plan(const std::string& path);
PlanFile parse_plan(OwnedBytes bytes, const std::string& path);
bool is_plan(const TensorFile& file);
PlanFile plan_of_file(const TensorFile& file);

}  // namespace residua
