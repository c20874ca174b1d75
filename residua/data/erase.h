#pragma once
// Random erasing of a normalised image (Zhong et al. 2017), sampled as torchvision does.

#include <cstdint>
#include <span>

#include "residua/core/random.h"
#include "residua/data/options.h"

namespace residua {

// With the option's probability a rectangle of random area and aspect ratio becomes zero or noise;
// where none of ten tries fits, the image stays. `channels_last` tells the layout of `image`.
void random_erase(const EraseOptions& options, Random& random, int64_t channels, int64_t height,
                  int64_t width, bool channels_last, std::span<float> image);

}  // namespace residua
