#pragma once
// A dataset is a list of labelled images that any thread may read.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "residua/core/registry.h"
#include "residua/io/image.h"

namespace residua {

struct DatasetInfo {
  std::string name;
  std::vector<std::string> classes;  // names by label
  int64_t channels = 3;
  int64_t height = 0, width = 0;    // 0: images differ in size
  std::vector<double> mean, stddev;  // per channel, of pixel values in [0, 1]
};

struct Sample {
  Image image;
  int64_t label = 0;
};

class Dataset {
 public:
  virtual ~Dataset() = default;
  const DatasetInfo& info() const { return info_; }
  virtual int64_t size() const = 0;
  virtual Sample get(int64_t index) const = 0;      // thread-safe; errors name the file or record
  virtual int64_t label(int64_t index) const = 0;  // without decoding the image
  // A name for people: the file, or "record 17 of data_batch_1.bin".
  virtual std::string describe(int64_t index) const = 0;

 protected:
  DatasetInfo info_;
};

struct DataSplits {
  std::shared_ptr<const Dataset> train, test;
};

// "digits" (embedded), "mnist", "fashion-mnist", "cifar10", "cifar100", "folder". Options such as `path` are each
// entry's own; without `path` the data are looked for in $RESIDUA_DATA and in the folder `residua data get` fills.
Registry<DataSplits>& datasets();

}  // namespace residua
