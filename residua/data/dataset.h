#pragma once
// A dataset is a list of labelled images that any thread may read.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "residua/core/registry.h"
#include "residua/data/options.h"
#include "residua/io/image.h"

namespace residua {

struct DatasetInfo {
  std::string name;
  std::vector<std::string> classes = {};  // names by label
  int64_t channels = 3;
  int64_t height = 0, width = 0;               // 0: images differ in size
  std::vector<double> mean = {}, stddev = {};  // per channel, of pixel values in [0, 1]
  TransformDefaults transform = {};            // recommended preparation
};

struct Sample {
  Image image;
  int64_t label = 0;
};

// A picture of which only a part need be decoded.
struct PartialSample {
  Image image;                              // at least the region asked for
  int64_t top = 0, left = 0;                // of `image` in the picture
  int64_t full_height = 0, full_width = 0;  // of the picture
  int64_t label = 0;
};

// Given the height and width of a picture, the part that is needed.
using ChooseRegion = std::function<CropBox(int64_t height, int64_t width)>;

class Dataset {
 public:
  virtual ~Dataset() = default;
  const DatasetInfo& info() const { return info_; }
  virtual int64_t size() const = 0;
  virtual Sample get(int64_t index) const = 0;     // thread-safe; errors name the file or record
  virtual int64_t label(int64_t index) const = 0;  // without decoding the image
  // A name for people: the file, or "record 17 of data_batch_1.bin".
  virtual std::string describe(int64_t index) const = 0;
  // Like get, into memory that is used again, and decoding little more than the part that `choose`
  // asks for.
  virtual void load(int64_t index, const ChooseRegion& choose, PartialSample& into) const;

 protected:
  DatasetInfo info_;
};

struct TextCorpus;

// Images, or text.
struct DataSplits {
  std::shared_ptr<const Dataset> train = {}, test = {};  // null where it is text
  std::shared_ptr<const TextCorpus> text = {};           // null where it is images

  std::string name() const;
};

// Images: "digits" (embedded), "mnist", "fashion-mnist", "cifar10", "cifar100", "folder"; text:
// "shakespeare", "text", "strings" (generated). Options such as
// `path` are each entry's own; without `path` the data are looked for in $RESIDUA_DATA and in the
// folder `residua data get` fills.
Registry<DataSplits>& datasets();

}  // namespace residua
