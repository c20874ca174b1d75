#pragma once
// MNIST (LeCun et al. 1998) and sets in its form, such as Fashion-MNIST (Xiao et al. 2017).

#include <string>

#include "residua/data/dataset.h"

namespace residua {

struct MnistOptions {
  std::string path;
  void fields(Fields& f) { f.add("path", path, "folder of the IDX files (plain or .gz)"); }
};

DataSplits make_mnist(const MnistOptions& options);
DataSplits make_fashion_mnist(const MnistOptions& options);

}  // namespace residua
