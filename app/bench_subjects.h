#pragma once
// What a benchmark is asked to measure, opened.

#include <string>
#include <vector>

#include "app/commands_runtime.h"
#include "residua/runtime/bench.h"
#include "residua/runtime/model_file.h"

namespace residua::app {

struct BenchSubject {
  std::string name;    // of the file without folder and ending, or of the model
  ModelFile file;      // the graph optimised
  double seconds = 0;  // that opening it took
};

// A file is opened. Any other word would be the name of a model, which this build cannot make a
// graph of: ErrorKind::not_found.
BenchSubject open_subject(const std::string& word);

// Each subject in each element type and batch that is asked for, one after the other.
std::vector<BenchVariant> bench_variants(const std::vector<BenchSubject>& subjects,
                                         const BenchArguments& arguments);

}  // namespace residua::app
