#pragma once
// What running images and running tensors have in common.

#include <string>
#include <vector>

#include "app/commands_runtime.h"
#include "residua/core/json.h"
#include "residua/graph/numbers.h"
#include "residua/io/tensor_file.h"
#include "residua/runtime/model_file.h"

namespace residua::app {

// Seconds since some moment.
double run_clock();

// How long the parts of a run took.
struct RunTimes {
  double open = 0, compile = 0;
  std::vector<double> runs = {};  // each call of the network, the first too
  double all = 0;                 // from the first input's reading to the last output
  int64_t items = 0;              // that went through
};
std::string to_text(const RunTimes& times);
Json to_json(const RunTimes& times);

// Outputs of all runs, one behind the other on axis 0, to be written as .npz.
class OutputFile {
 public:
  // `rows` of the first axis are kept; the rest are fillings. Types and sizes behind axis 0 must
  // stay the same: else ErrorKind::unsupported.
  void add(const std::string& name, const TensorType& type, std::span<const std::byte> bytes,
           int64_t rows);
  void write(const std::string& path) const;

 private:
  struct Rows {
    std::string name;
    TensorType type;
    std::vector<std::byte> bytes;
  };
  std::vector<Rows> outputs_;
};

// {"dtype", "shape", "least", "mean", "greatest", "not_finite"}
Json summary_json(const Numbers& numbers);

// What the settings of a run are, apart.
struct RunOptions {
  PlanOptions plan;
  Json images;  // settings of the preparation
};
RunOptions run_options(const ModelFile& file, const std::vector<std::string>& overrides);

Json run_images(const RunArguments& arguments, ModelFile file, const RunOptions& options,
                RunTimes& times);
Json run_tensors(const RunArguments& arguments, ModelFile file, const RunOptions& options,
                 RunTimes& times);

}  // namespace residua::app
