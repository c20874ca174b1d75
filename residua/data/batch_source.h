#pragma once
// Where training and evaluation get their batches from: images (loader.h) or text (text/windows.h).
// The batches depend on the seed, the epoch and the position only, so that a run that is continued
// sees what it would have seen.
//
//   source.start(epoch);
//   while (auto batch = source.next()) train_step(batch->input, batch->target);

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace residua {

struct Batch {
  at::Tensor input;   // images: float32 [N, C, H, W] (channels-last strides where asked for); text:
                      // int64 [N, T]
  at::Tensor target;  // images: int64 [N], or float32 [N, classes] when the pipeline mixes; text:
                      // int64 [N, T], the next token of each
  at::Tensor label;   // of images before mixing: int64 [N]; of text the target
  std::vector<int64_t> indices;  // into the dataset: which images, or the windows' first tokens
  int64_t number = 0;            // in the epoch; a run is resumed by start(epoch, number + 1)

  int64_t size() const { return static_cast<int64_t>(indices.size()); }
};

class BatchSource {
 public:
  virtual ~BatchSource() = default;

  // Begins an epoch (again) at a batch.
  virtual void start(int64_t epoch, int64_t first_batch = 0) = 0;
  // The next batch of the epoch, nothing at its end. Needs a start().
  virtual std::optional<Batch> next() = 0;

  virtual int64_t batches_per_epoch() const = 0;
  virtual int64_t samples() const = 0;  // in an epoch
  virtual std::string dataset_name() const = 0;
  // Samples left out so far because they could not be read.
  virtual int64_t skipped() const { return 0; }

  // What speed is counted in, and how many make a sample.
  virtual std::string unit() const { return "images"; }
  virtual int64_t units_per_sample() const { return 1; }
};

}  // namespace residua
