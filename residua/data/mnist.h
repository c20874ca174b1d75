#pragma once
// MNIST (LeCun et al. 1998) and sets in its form, such as Fashion-MNIST (Xiao et al. 2017).

#include <string>

#include "residua/data/dataset.h"

namespace residua {

struct MnistOptions {
  std::string path = {};
  int64_t limit = 0;
  void fields(Fields& f) {
    f.add("path", path, "folder of the IDX files (plain or .gz)");
    f.add("limit", limit, "the first so many training images alone; 0: all", {.min = 0});
  }
};

DataSplits make_mnist(const MnistOptions& options);
DataSplits make_fashion_mnist(const MnistOptions& options);

}  // namespace residua
