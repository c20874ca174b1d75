#pragma once
// Batches of transformed images, prepared ahead by worker threads. The batches depend on the seed,
// the epoch and the position only: any number of workers, and a loader resumed in mid-epoch, give
// the same numbers.
//
//   Loader loader(splits.train, pipeline, {.batch_size = 128, .shuffle = true}, random);
//   loader.start(epoch);
//   while (auto batch = loader.next()) train_step(batch->input, batch->target);

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "residua/core/random.h"
#include "residua/data/dataset.h"
#include "residua/data/options.h"
#include "residua/data/transform.h"

namespace residua {

struct Batch {
  at::Tensor input;              // float32 [N, C, H, W] (channels-last strides where asked for)
  at::Tensor target;             // int64 [N], or float32 [N, classes] when the pipeline mixes
  at::Tensor label;              // int64 [N], before mixing
  std::vector<int64_t> indices;  // into the dataset
  int64_t number = 0;            // in the epoch; a run is resumed by start(epoch, number + 1)

  int64_t size() const { return static_cast<int64_t>(indices.size()); }
};

class Loader {
 public:
  // Throws ErrorKind::invalid_argument when there would be no batch at all.
  Loader(std::shared_ptr<const Dataset> dataset, Pipeline pipeline, LoaderOptions options,
         Random random);
  ~Loader();

  // Begins an epoch (again) at a batch; earlier prefetched work is dropped.
  void start(int64_t epoch, int64_t first_batch = 0);
  // The next batch of the epoch, nothing at its end. Throws what a worker threw, at the batch it
  // belongs to; after that the following batches can still be had. Needs a start().
  std::optional<Batch> next();

  int64_t batches_per_epoch() const;
  // Corrupt samples left out of the batches handed out so far, over all epochs. A batch is smaller
  // for each of them, and one of which nothing remains is passed over. Each such file is named once
  // in a warning to the log sink.
  int64_t skipped() const;
  const Dataset& dataset() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace residua
