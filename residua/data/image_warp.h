#pragma once
// Affine warps of 8-bit images with nearest sampling and black fill, bit for bit those of PIL.

#include <array>

#include "residua/io/image.h"

namespace residua {

// Output pixel (x, y) shows input (m[0] x + m[1] y + m[2], m[3] x + m[4] y + m[5]), measured at
// pixel centers. The image becomes the result; `memory` is overwritten.
void warp_affine(Image& image, const std::array<double, 6>& m, Image& memory);

// Counter-clockwise about the center, in degrees.
void warp_rotate(Image& image, double degrees, Image& memory);

}  // namespace residua
