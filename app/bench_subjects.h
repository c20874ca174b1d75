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

// One variant of one subject.
struct BenchRequest {
  std::string word;   // of the command line
  std::string dtype;  // empty: the file's own
  int64_t batch = 0;  // 0: the model's own
};

// Each model in each batch and element type that is asked for.
std::vector<BenchRequest> bench_requests(const BenchArguments& arguments);

// Throws what read_model throws.
BenchSubject open_subject(const std::string& word);

// Models of the zoo as files, which begin as fast as any other: without libtorch. The files go with
// it.
class BenchFiles {
 public:
  BenchFiles() = default;
  ~BenchFiles();
  BenchFiles(const BenchFiles&) = delete;
  BenchFiles& operator=(const BenchFiles&) = delete;

  // The word, or the file of the model that it names. Throws what open_network throws.
  std::string file_of(const std::string& word);

 private:
  std::string folder_;
};

BenchVariant bench_variant(const BenchSubject& subject, const BenchRequest& request,
                           const BenchArguments& arguments);

}  // namespace residua::app
