#pragma once
// Where a command's network comes from: a file of ours or ONNX, or a model of the zoo, which the
// training library makes a graph of.

#include <cstdint>
#include <string>
#include <vector>

#include "residua/runtime/calibrate.h"
#include "residua/runtime/model_file.h"

namespace residua::app {

struct NetworkArguments {
  std::string what = {};                    // a file, the name of a model, or a checkpoint
  std::string weights = {};                 // of a model
  std::vector<std::string> overrides = {};  // its options
  int64_t batch = 1;
  std::vector<int64_t> input = {};  // height and width, or tokens; empty: the model's own
  bool dynamic_size = false, fixed_batch = false;
};

struct CalibrationArguments {
  std::vector<std::string> images = {};  // files and folders; empty: the data of the checkpoint
  int64_t count = 128;
};

struct NetworkSource {
  ModelFile file;
  std::vector<CalibrationSample> samples = {};
};

// With `samples` null none are read. Throws ErrorKind::not_found for what is neither a file nor a
// model, and what the readers throw.
NetworkSource open_network(const NetworkArguments& arguments,
                           const CalibrationArguments* samples = nullptr);

}  // namespace residua::app
