#include "residua/data/mnist.h"

#include <fmt/format.h>

#include "residua/data/idx.h"
#include "residua/data/locate.h"
#include "residua/data/memory_dataset.h"
#include "residua/io/gzip.h"

namespace residua {

namespace {

constexpr uint64_t kMaxIdxBytes = uint64_t{1} << 31;

std::shared_ptr<const Dataset> read_split(const std::string& folder, const std::string& prefix,
                                          DatasetInfo info, int64_t limit) {
  const std::string images_path = find_maybe_gz(folder, prefix + "-images-idx3-ubyte");
  const std::string labels_path = find_maybe_gz(folder, prefix + "-labels-idx1-ubyte");
  const auto images = read_file_maybe_gz(images_path, kMaxIdxBytes);
  const auto labels = read_file_maybe_gz(labels_path, kMaxIdxBytes);
  IdxImages read = parse_idx_images(images, images_path, labels, labels_path);
  if (limit > 0 && limit < read.count) {
    read.count = limit;
    read.pixels.resize(static_cast<size_t>(limit * read.height * read.width));
    read.labels.resize(static_cast<size_t>(limit));
  }
  info.height = read.height;
  info.width = read.width;
  return std::make_shared<MemoryDataset>(std::move(info), std::move(read.pixels),
                                         std::move(read.labels),
                                         std::vector<RecordSource>{{images_path, read.count}});
}

DataSplits read_mnist_folder(const MnistOptions& options, const DatasetInfo& info) {
  const std::string folder =
      find_dataset(info.name, info.name, "train-images-idx3-ubyte", options.path);
  DataSplits splits{read_split(folder, "train", info, options.limit),
                    read_split(folder, "t10k", info, 0)};
  const DatasetInfo& train = splits.train->info();
  const DatasetInfo& test = splits.test->info();
  if (train.height != test.height || train.width != test.width)
    throw Error(ErrorKind::corrupt_file,
                {.where = folder,
                 .rule = "holds training and test images of different sizes",
                 .expected = fmt::format("{} x {}", train.height, train.width),
                 .received = fmt::format("{} x {}", test.height, test.width)});
  return splits;
}

}  // namespace

DataSplits make_mnist(const MnistOptions& options) {
  return read_mnist_folder(options, {.name = "mnist",
                                     .classes = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
                                     .channels = 1,
                                     .mean = {0.1307},
                                     .stddev = {0.3081},
                                     .transform = {.crop = CropKind::pad, .pad = 2}});
}

DataSplits make_fashion_mnist(const MnistOptions& options) {
  return read_mnist_folder(
      options, {.name = "fashion-mnist",
                .classes = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal",
                            "Shirt", "Sneaker", "Bag", "Ankle boot"},
                .channels = 1,
                .mean = {0.2860},
                .stddev = {0.3530},
                .transform = {.crop = CropKind::pad, .pad = 2, .flip = 0.5}});
}

}  // namespace residua
