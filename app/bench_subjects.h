#pragma once
// What a benchmark is asked to measure, opened.

#include <string>
#include <vector>

#include "app/commands_runtime.h"
#include "residua/runtime/bench.h"
#include "residua/runtime/model_file.h"

namespace residua::app {

// A file to measure, and how it is called.
struct BenchSource {
  std::string name, path;
};

// Files are called by their names without folder and ending, those of one name by their paths.
std::vector<BenchSource> bench_sources(const std::vector<std::string>& words);

// One variant of one source.
struct BenchRequest {
  size_t source = 0;
  std::string dtype;  // empty: the file's own
  int64_t batch = 0;  // 0: the model's own
};

// Each source in each batch and element type that is asked for.
std::vector<BenchRequest> bench_requests(size_t sources, const BenchArguments& arguments);

struct BenchSubject {
  BenchSource source;
  ModelFile file;      // the graph optimised
  double seconds = 0;  // that opening it took
};

BenchSubject open_subject(const BenchSource& source);

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
