#pragma once
// CIFAR-10 and CIFAR-100 (Krizhevsky 2009), binary version: records of one label byte (CIFAR-100: a
// coarse and a fine one) and 3,072 pixels, red plane first.
// https://www.cs.toronto.edu/~kriz/cifar.html

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "residua/data/dataset.h"

namespace residua {

enum class CifarLabels { fine, coarse };
template <>
struct EnumNames<CifarLabels> {
  static constexpr std::array names{"fine", "coarse"};
};

struct Cifar10Options {
  std::string path;
  void fields(Fields& f) { f.add("path", path, "folder of data_batch_1.bin and its siblings"); }
};

struct Cifar100Options {
  std::string path;
  CifarLabels labels = CifarLabels::fine;
  void fields(Fields& f) {
    f.add("path", path, "folder of train.bin and test.bin");
    f.add("labels", labels, "the 100 fine classes or the 20 coarse ones");
  }
};

DataSplits make_cifar10(const Cifar10Options& options);
DataSplits make_cifar100(const Cifar100Options& options);

// Appends the records of one file to `pixels` (channels last) and `labels`. A record has
// `label_bytes` labels, of which the one at `label_at` is taken; it must be below `classes`. The
// number of records is free, but a cut record, an empty file and a label out of range are
// ErrorKind::corrupt_file. Returns the number of records.
int64_t append_cifar_records(std::span<const std::byte> bytes, int64_t label_bytes,
                             int64_t label_at, int64_t classes, std::string_view where,
                             std::vector<uint8_t>& pixels, std::vector<int64_t>& labels);

}  // namespace residua
