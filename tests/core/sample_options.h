#pragma once
// An options struct with every kind of field, for the tests of core.

#include "residua/core/options.h"

namespace residua::testing {

enum class Decay { constant, cosine, step };

struct OptimOptions {
  double lr = 0.1;
  bool nesterov = false;
  Decay decay = Decay::cosine;
  void fields(Fields& f) {
    f.add("lr", lr, "peak learning rate", {.min = 0, .max = 10, .open_min = true});
    f.add("nesterov", nesterov, "use Nesterov's form of momentum");
    f.add("decay", decay, "shape of the decay");
  }
};

struct InnerOptions {
  int64_t depth = 3;
  OptimOptions optim;
  void fields(Fields& f) {
    f.add("depth", depth, "how deep", {.min = 1});
    f.add("optim", optim, "the inner optimiser");
  }
};

struct SampleOptions {
  std::string name = "run";
  int64_t epochs = 10;
  OptimOptions optim;
  InnerOptions inner;
  std::vector<int64_t> sizes = {1, 2};
  std::vector<double> mean = {0.5};
  std::vector<std::string> tags = {};
  std::optional<int64_t> seed;
  std::optional<double> clip = 1.5;
  double limit = std::numeric_limits<double>::infinity();
  Component model = "resnet20";
  void fields(Fields& f) {
    f.add("name", name, "name of the run");
    f.add("epochs", epochs, "passes over the data", {.min = 1, .max = 1000});
    f.add("optim", optim, "the optimiser");
    f.add("inner", inner, "a nested group");
    f.add("sizes", sizes, "some sizes", {.min = 0, .max = 100});
    f.add("mean", mean, "per channel", {.min = 0, .max = 1});
    f.add("tags", tags, "free words");
    f.add("seed", seed, "seed", {.min = 0});
    f.add("clip", clip, "largest gradient norm", {.min = 0, .open_min = true});
    f.add("limit", limit, "no more than this");
    f.add("model", model, "what to train");
  }
};

}  // namespace residua::testing

template <>
struct residua::EnumNames<residua::testing::Decay> {
  static constexpr std::array names{"constant", "cosine", "step"};
};
