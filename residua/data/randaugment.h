#pragma once
// RandAugment (Cubuk et al. 2019): a number of operators drawn with replacement, all at one
// strength. Operators, strengths and pixels are those of torchvision's RandAugment on PIL images
// (nearest sampling, black fill).

#include <array>
#include <cstdint>
#include <string_view>

#include "residua/core/random.h"
#include "residua/data/options.h"
#include "residua/io/image.h"

namespace residua {

enum class AugmentOp {
  identity,
  shear_x,
  shear_y,
  translate_x,
  translate_y,
  rotate,
  brightness,
  color,
  contrast,
  sharpness,
  posterize,
  solarize,
  autocontrast,
  equalize
};
template <>
struct EnumNames<AugmentOp> {
  static constexpr std::array names{"identity",     "shear-x",   "shear-y",    "translate-x",
                                    "translate-y",  "rotate",    "brightness", "color",
                                    "contrast",     "sharpness", "posterize",  "solarize",
                                    "autocontrast", "equalize"};
};
inline constexpr int kAugmentOps = static_cast<int>(EnumNames<AugmentOp>::names.size());

// The strength of an operator at `magnitude` of `bins` for an image of this size, before a sign is
// drawn for the operators that have one: a slope, pixels, degrees, a factor's distance from 1, bits
// or a threshold.
double augment_strength(AugmentOp op, int64_t magnitude, int64_t bins, int64_t height,
                        int64_t width);
bool augment_is_signed(AugmentOp op);

// Applies one operator in place; `memory` holds an intermediate image.
void apply_augment(AugmentOp op, double strength, Image& image, Image& memory);

// Draws and applies `options.ops` operators.
void randaugment(const RandAugmentOptions& options, Random& random, Image& image, Image& memory);

// Throws ErrorKind::invalid_argument when the magnitude is not below the bins, or for other than 1
// or 3 channels.
void check_randaugment(const RandAugmentOptions& options, int64_t channels);

}  // namespace residua
