#pragma once
// Batches of transformed images, prepared ahead by worker threads. The batches depend on the seed, the epoch and the
// position only: any number of workers, and a loader resumed in mid-epoch, give the same numbers.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "residua/core/options.h"
#include "residua/core/random.h"
#include "residua/data/dataset.h"
#include "residua/data/transform.h"

namespace residua {

struct Batch {
  at::Tensor input;              // float32 [N, C, H, W] (channels-last strides where asked for)
  at::Tensor target;             // int64 [N], or float32 [N, classes] when labels are mixed
  at::Tensor label;              // int64 [N], before mixing
  std::vector<int64_t> indices;  // into the dataset

  int64_t size() const { return static_cast<int64_t>(indices.size()); }
};

struct LoaderOptions {
  int64_t batch_size = 128;
  int64_t workers = 2;   // 0: prepare in the calling thread
  int64_t prefetch = 4;  // batches ready ahead
  bool shuffle = false;
  bool drop_last = false;
  bool channels_last = false;
  bool skip_corrupt = false;  // leave out samples that cannot be read, and count them
};

class Loader {
 public:
  Loader(std::shared_ptr<const Dataset> dataset, Pipeline pipeline, LoaderOptions options, Random random);
  ~Loader();

  // Begins an epoch (again) at a batch; earlier prefetched work is dropped.
  void start(int64_t epoch, int64_t first_batch = 0);
  // The next batch of the epoch, nothing at its end. Throws what a worker threw, at the batch it belongs to.
  std::optional<Batch> next();

  int64_t batches_per_epoch() const;
  int64_t skipped() const;  // corrupt samples left out so far
  const Dataset& dataset() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace residua
