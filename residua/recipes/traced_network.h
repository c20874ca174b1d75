#pragma once
// A model of the zoo with its weights, as a graph ready to be compiled or exported, and inputs to
// calibrate it with.
//
//   TracedNetwork n = trace_network({.model = "resnet18", .weights = "resnet18.pth"});
//   write_plan("resnet18.plan", n.file.graph, n.file.info);

#include <string>
#include <vector>

#include "residua/analysis/model_graph.h"
#include "residua/core/registry.h"
#include "residua/runtime/calibrate.h"
#include "residua/runtime/plan_file.h"

namespace residua {

struct TracedNetworkOptions {
  std::string model = {};    // of the zoo; empty: the checkpoint's
  std::string weights = {};  // a run, a checkpoint or a file; empty: random numbers
  // Of the model, and settings of `data` and `augment`, which say how images are prepared.
  Json settings = Json::object();
  ModelGraphOptions graph = {};
  int64_t samples = 0;  // inputs to take from the data's training part
};

struct TracedNetwork {
  PlanFile file;
  std::vector<CalibrationSample> samples = {};
};

// Throws what load_trained, load_weights and model_graph throw; ErrorKind::invalid_argument when
// neither a model nor a checkpoint is named, and when samples are wanted of no known data.
TracedNetwork trace_network(const TracedNetworkOptions& options);

}  // namespace residua
