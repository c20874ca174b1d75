#pragma once
// The commands that need no libtorch: what they were asked to do, and the functions that do it.

#include <cstdint>
#include <string>
#include <vector>

#include "residua/runtime/image_input.h"
#include "residua/runtime/plan.h"

namespace residua::app {

struct RunArguments {
  std::string model;                   // plan, graph or ONNX file
  std::vector<std::string> inputs;     // images, or files of tensors
  std::vector<std::string> overrides;  // of RunSettings
  std::string out;                     // .npz file of the outputs
  int64_t batch = 0;                   // images at once; 0: what the model takes, or up to 8
  int64_t top_k = 5;
  bool time = false, json = false;
};

struct BenchArguments {
  std::vector<std::string> models;  // files, or names of models
  std::vector<std::string> dtypes;  // empty: the file's own
  std::vector<int64_t> batches;     // empty: the model's own
  std::string kernels;              // empty: the file's own
  std::string report;               // HTML file
  int64_t threads = 0, warmup = 3, repeat = 20;
  bool winograd = false, fused_blocks = false, layers = false, json = false;
};

// The key=value settings of `run`: options of the plan, and `images.` for the preparation.
struct RunSettings {
  PlanOptions plan = {};
  ImagePreprocessing images = {};
  void fields(Fields& f) {
    plan.fields(f);
    f.add("images", images, "how images are prepared");
  }
};

int run_model(const RunArguments&);
int bench(const BenchArguments&);

}  // namespace residua::app
