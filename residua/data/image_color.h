#pragma once
// Colour operators on 8-bit grey or RGB images, in place, bit for bit those of PIL's ImageEnhance
// and ImageOps.

#include "residua/io/image.h"

namespace residua {

// Factor 0 is the degenerate image (black; grey; its mean grey; smoothed), 1 the image itself, more
// goes beyond it.
void adjust_brightness(Image& image, double factor);
void adjust_color(Image& image, double factor);
void adjust_contrast(Image& image, double factor);
void adjust_sharpness(Image& image, double factor, Image& memory);

void posterize(Image& image, int bits);         // keeps the upper bits, 1 to 8
void solarize(Image& image, double threshold);  // inverts values that are not below the threshold
void autocontrast(Image& image);                // each channel stretched to 0..255
void equalize(Image& image);                    // each channel's histogram made flat

}  // namespace residua
