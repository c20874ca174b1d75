#pragma once
// A training run of a fraction of a second that has everything a long one has: convolution, batch
// normalisation, dropout, random crops and flips.

#include <torch/nn/module.h>

#include <memory>
#include <string>

#include "residua/data/options.h"
#include "residua/nn/batch_norm.h"
#include "residua/nn/conv.h"
#include "residua/nn/linear.h"
#include "residua/train/trainer.h"

namespace residua::test {

class TinyNet final : public torch::nn::Module {
 public:
  explicit TinyNet(uint64_t seed, double dropout = 0.2, int64_t width = 4);
  at::Tensor forward(const at::Tensor& x);

  std::shared_ptr<Conv2d> conv;
  std::shared_ptr<BatchNorm2d> bn;
  std::shared_ptr<Linear> fc;

 private:
  double dropout_;
};

struct TinyRunOptions {
  LoopOptions loop{.epochs = 3, .log_every = 2};
  AugmentOptions augment{.crop = CropKind::pad, .pad = 1, .flip = 0.5};
  std::string folder;  // empty: nothing is saved
  double lr = 0.1, momentum = 0.9, dropout = 0.2;
  int64_t images = 50, batch_size = 8, workers = 0, width = 4;
};

struct TinyRun {
  std::shared_ptr<TinyNet> net;
  TrainerParts parts;
};

// Coloured noise images whose label is the brightest channel; half as many to test on.
std::shared_ptr<const Dataset> tiny_dataset(int64_t images, uint64_t seed);

TinyRun make_tiny_run(const TinyRunOptions& options);

// A fresh folder that goes away with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  std::string path(const std::string& name = {}) const {
    return name.empty() ? path_ : path_ + "/" + name;
  }

 private:
  std::string path_;
};

std::string read_text(const std::string& path);

// All bytes of a module's parameters and buffers, to compare to the bit.
std::string weight_bytes(const torch::nn::Module& module);

// metrics.jsonl without the members that measure time.
std::string timeless_lines(const std::string& path);

}  // namespace residua::test
