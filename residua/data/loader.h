#pragma once
// Batches of transformed images, prepared ahead by worker threads. The batches depend on the seed,
// the epoch and the position only: any number of workers, and a loader resumed in mid-epoch, give
// the same numbers.
//
//   Loader loader(splits.train, pipeline, {.batch_size = 128, .shuffle = true}, random);
//   loader.start(epoch);
//   while (auto batch = loader.next()) train_step(batch->input, batch->target);

#include <memory>

#include "residua/core/random.h"
#include "residua/data/batch_source.h"
#include "residua/data/dataset.h"
#include "residua/data/options.h"
#include "residua/data/transform.h"

namespace residua {

class Loader final : public BatchSource {
 public:
  // Throws ErrorKind::invalid_argument when there would be no batch at all.
  Loader(std::shared_ptr<const Dataset> dataset, Pipeline pipeline, LoaderOptions options,
         Random random);
  ~Loader() override;

  // Begins an epoch (again) at a batch; earlier prefetched work is dropped.
  void start(int64_t epoch, int64_t first_batch = 0) override;
  // The next batch of the epoch, nothing at its end. Throws what a worker threw, at the batch it
  // belongs to; after that the following batches can still be had. Needs a start().
  std::optional<Batch> next() override;

  int64_t batches_per_epoch() const override;
  int64_t samples() const override;
  std::string dataset_name() const override;
  // Corrupt samples left out of the batches handed out so far, over all epochs. A batch is smaller
  // for each of them, and one of which nothing remains is passed over. Each such file is named once
  // in a warning to the log sink.
  int64_t skipped() const override;
  const Dataset& dataset() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace residua
