#include "residua/data/randaugment.h"

#include <fmt/format.h>

#include <cmath>

#include "residua/core/error.h"
#include "residua/data/image_color.h"
#include "residua/data/image_warp.h"

namespace residua {

namespace {

// Element i of torch.linspace(start, end, count), in single precision and counted from the nearer
// end as there: a strength that falls on a whole number must be that number.
float linspace_element(double start, double end, int64_t count, int64_t i) {
  const auto first = static_cast<float>(start), last = static_cast<float>(end);
  const float step = (last - first) / static_cast<float>(count - 1);
  return i < count / 2 ? first + step * static_cast<float>(i)
                       : last - step * static_cast<float>(count - 1 - i);
}

}  // namespace

double augment_strength(AugmentOp op, int64_t magnitude, int64_t bins, int64_t height,
                        int64_t width) {
  const auto up_to = [&](double end) { return linspace_element(0, end, bins, magnitude); };
  switch (op) {
    case AugmentOp::shear_x:
    case AugmentOp::shear_y: return up_to(0.3);
    case AugmentOp::translate_x: return up_to(150.0 / 331.0 * static_cast<double>(width));
    case AugmentOp::translate_y: return up_to(150.0 / 331.0 * static_cast<double>(height));
    case AugmentOp::rotate: return up_to(30);
    case AugmentOp::brightness:
    case AugmentOp::color:
    case AugmentOp::contrast:
    case AugmentOp::sharpness: return up_to(0.9);
    case AugmentOp::posterize:  // bits kept
      return 8 - std::nearbyint(4 * static_cast<double>(magnitude) / static_cast<double>(bins - 1));
    case AugmentOp::solarize: return linspace_element(255, 0, bins, magnitude);  // threshold
    default: return 0;
  }
}

bool augment_is_signed(AugmentOp op) {
  return op >= AugmentOp::shear_x && op <= AugmentOp::sharpness;
}

void apply_augment(AugmentOp op, double strength, Image& image, Image& memory) {
  switch (op) {
    case AugmentOp::identity: return;
    // torchvision goes by way of degrees; the tangent of the arc tangent is the slope again.
    case AugmentOp::shear_x: return warp_affine(image, {1, strength, 0, 0, 1, 0}, memory);
    case AugmentOp::shear_y: return warp_affine(image, {1, 0, 0, strength, 1, 0}, memory);
    case AugmentOp::translate_x:
      return warp_affine(image, {1, 0, -std::trunc(strength), 0, 1, 0}, memory);
    case AugmentOp::translate_y:
      return warp_affine(image, {1, 0, 0, 0, 1, -std::trunc(strength)}, memory);
    case AugmentOp::rotate: return warp_rotate(image, strength, memory);
    case AugmentOp::brightness: return adjust_brightness(image, 1 + strength);
    case AugmentOp::color: return adjust_color(image, 1 + strength);
    case AugmentOp::contrast: return adjust_contrast(image, 1 + strength);
    case AugmentOp::sharpness: return adjust_sharpness(image, 1 + strength, memory);
    case AugmentOp::posterize: return posterize(image, static_cast<int>(strength));
    case AugmentOp::solarize: return solarize(image, strength);
    case AugmentOp::autocontrast: return autocontrast(image);
    case AugmentOp::equalize: return equalize(image);
  }
}

void randaugment(const RandAugmentOptions& options, Random& random, Image& image, Image& memory) {
  for (int64_t i = 0; i < options.ops; ++i) {
    const auto op = static_cast<AugmentOp>(random.integer(0, kAugmentOps));
    double strength =
        augment_strength(op, options.magnitude, options.bins, image.height, image.width);
    if (augment_is_signed(op) && random.bernoulli(0.5)) strength = -strength;
    apply_augment(op, strength, image, memory);
  }
}

void check_randaugment(const RandAugmentOptions& options, int64_t channels) {
  if (options.magnitude >= options.bins)
    throw Error(ErrorKind::invalid_argument, {.where = "augment.randaugment.magnitude",
                                              .rule = "must be below bins",
                                              .expected = fmt::format("0 to {}", options.bins - 1),
                                              .received = std::to_string(options.magnitude)});
  if (channels != 1 && channels != 3)
    throw Error(ErrorKind::invalid_argument, {.where = "augment.randaugment.ops",
                                              .rule = "works on grey and RGB images only",
                                              .received = fmt::format("{} channels", channels)});
}

}  // namespace residua
