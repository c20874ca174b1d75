#pragma once
// An exponential moving average of a model's parameters and buffers (Polyak averaging with a short
// memory), which often tests better than the last weights.
//
//   Ema ema(*model, {.decay = 0.999});
//   ... after each optimiser step: ema.update();
//   { EmaScope averaged(ema); evaluate(*model); }

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "residua/core/options.h"
#include "residua/optim/ema_options.h"

namespace torch::nn {
class Module;
}

namespace residua {

class Ema {
 public:
  using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

  // Starts from the module's present values. The module must outlive this.
  explicit Ema(torch::nn::Module& module, EmaOptions options = {});

  // average += (1 - decay) * (value - average); tensors that are not floating are copied.
  void update();

  // Exchanges the average with the module's own values; a second call undoes the first exactly.
  void swap();

  // Averages under the names of parameters and buffers, and "ema.updates".
  NamedTensors state() const;
  // Throws ErrorKind::invalid_argument naming what is missing or unknown, ErrorKind::shape for
  // another shape.
  void load_state(const NamedTensors& state);

  // Decay of the next update.
  double decay() const;

 private:
  struct Pair {
    std::string name;
    at::Tensor value;  // the module's
    at::Tensor average;
  };
  std::vector<Pair> pairs_;
  EmaOptions options_;
  int64_t updates_ = 0;
  bool swapped_ = false;
};

// While it lives, the module holds the averages.
class EmaScope {
 public:
  explicit EmaScope(Ema& ema) : ema_(ema) { ema_.swap(); }
  ~EmaScope() { ema_.swap(); }
  EmaScope(const EmaScope&) = delete;
  EmaScope& operator=(const EmaScope&) = delete;

 private:
  Ema& ema_;
};

}  // namespace residua
