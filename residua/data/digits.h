#pragma once
// The dataset inside the library: 1,797 handwritten digits of 8x8 pixels (UCI, see digits/NOTICE).
// Of each class every fifth image, in the order of the file, is for testing: 1,442 train, 355 test.

#include "residua/data/dataset.h"

namespace residua {

DataSplits make_digits();

}  // namespace residua
