#pragma once
// Small images of one size, all held in memory: digits, MNIST, CIFAR.

#include <span>
#include <string>
#include <vector>

#include "residua/data/dataset.h"

namespace residua {

// Consecutive records that came from one file.
struct RecordSource {
  std::string file;
  int64_t records = 0;
  int64_t offset = 0;  // before these records, in the dataset
};

class MemoryDataset final : public Dataset {
 public:
  // `pixels` is uint8 [N, height, width, channels] of the sizes in `info`, with one label an image.
  // Throws ErrorKind::corrupt_file, naming the record, for a label that is not below the number of
  // classes.
  MemoryDataset(DatasetInfo info, std::vector<uint8_t> pixels, std::vector<int64_t> labels,
                std::vector<RecordSource> sources);

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  Sample get(int64_t index) const override;
  int64_t label(int64_t index) const override;
  std::string describe(int64_t index) const override;
  void load(int64_t index, const ChooseRegion& choose, PartialSample& into) const override;

 private:
  std::span<const uint8_t> pixels_of(int64_t index) const;

  std::vector<uint8_t> pixels_;
  std::vector<int64_t> labels_;
  std::vector<RecordSource> sources_;
};

// Throws ErrorKind::internal for an index outside [0, size).
void check_index(const Dataset& dataset, int64_t index);

}  // namespace residua
