#pragma once
// Which data a run saw, whatever folder they lie in.

#include <string>

#include "residua/data/dataset.h"

namespace residua {

// SHA-256 over the sizes, the classes, and labels and pixels of samples spread over both splits. It
// tells other data apart (another file, a subset), not a single changed pixel.
std::string data_identity(const DataSplits& data);

}  // namespace residua
