#pragma once
// How images are prepared for a network. What is left "auto" follows the recommendation of the
// dataset.

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "residua/core/options.h"

namespace residua {

enum class CropKind {
  automatic,       // what the dataset recommends
  none,            // the image as it is; all must then have one size
  pad,             // zero-pad every side, then crop the original size at random
  random_resized,  // a random area and aspect ratio, resized (Szegedy et al. 2015)
  center           // resize the shorter side, then crop the middle
};
template <>
struct EnumNames<CropKind> {
  static constexpr std::array names{"auto", "none", "pad", "random-resized", "center"};
};

enum class EraseFill { zero, noise };  // zero after normalisation (the mean), or unit normal noise
template <>
struct EnumNames<EraseFill> {
  static constexpr std::array names{"zero", "noise"};
};

// RandAugment (Cubuk et al. 2019) with torchvision's operators and strengths.
struct RandAugmentOptions {
  int64_t ops = 0;
  int64_t magnitude = 9;
  int64_t bins = 31;
  void fields(Fields& f) {
    f.add("ops", ops, "operators applied one after the other; 0 switches RandAugment off",
          {.min = 0, .max = 16});
    f.add("magnitude", magnitude, "strength, below `bins`", {.min = 0, .max = 100});
    f.add("bins", bins, "number of strengths", {.min = 2, .max = 101});
  }
};

// Random erasing (Zhong et al. 2017) with torchvision's sampling.
struct EraseOptions {
  double probability = 0;
  double min_area = 0.02, max_area = 1.0 / 3;
  double min_ratio = 0.3;
  EraseFill fill = EraseFill::zero;
  void fields(Fields& f) {
    f.add("probability", probability, "of erasing a rectangle of an image", {.min = 0, .max = 1});
    f.add("min_area", min_area, "least part of the image", {.min = 0, .max = 1});
    f.add("max_area", max_area, "greatest part of the image", {.min = 0, .max = 1});
    f.add("min_ratio", min_ratio, "least height / width; the greatest is its inverse",
          {.min = 0, .max = 1, .open_min = true});
    f.add("fill", fill, "what the rectangle becomes");
  }
};

// Mixup (Zhang et al. 2017) and CutMix (Yun et al. 2019): each batch is mixed with its own reverse
// by one draw.
struct MixOptions {
  double mixup = 0;
  double cutmix = 0;
  double probability = 1;
  double switch_probability = 0.5;

  bool enabled() const { return (mixup > 0 || cutmix > 0) && probability > 0; }
  void fields(Fields& f) {
    f.add("mixup", mixup, "alpha of mixup's Beta(alpha, alpha); 0 switches it off", {.min = 0});
    f.add("cutmix", cutmix, "alpha of CutMix; 0 switches it off", {.min = 0});
    f.add("probability", probability, "of mixing a batch at all", {.min = 0, .max = 1});
    f.add("switch_probability", switch_probability, "of CutMix where both are on",
          {.min = 0, .max = 1});
  }
};

struct AugmentOptions {
  CropKind crop = CropKind::automatic;
  std::optional<int64_t> size = {};
  std::optional<int64_t> resize = {};
  std::optional<int64_t> pad = {};
  double min_scale = 0.08, max_scale = 1;
  double min_ratio = 0.75;
  std::optional<double> flip = {};
  RandAugmentOptions randaugment = {};
  EraseOptions erase = {};
  MixOptions mix = {};
  std::vector<double> mean = {}, stddev = {};

  void fields(Fields& f) {
    f.add("crop", crop, "how training images are cropped");
    f.add("size", size, "height and width given to the network", {.min = 1, .max = 16384});
    f.add("resize", resize, "shorter side before a center crop", {.min = 1, .max = 16384});
    f.add("pad", pad, "pixels of padding on every side", {.min = 0, .max = 1024});
    f.add("min_scale", min_scale, "least area of a random-resized crop",
          {.min = 0, .max = 1, .open_min = true});
    f.add("max_scale", max_scale, "greatest area of a random-resized crop",
          {.min = 0, .max = 1, .open_min = true});
    f.add("min_ratio", min_ratio, "least width / height of that crop; the greatest is its inverse",
          {.min = 0, .max = 1, .open_min = true});
    f.add("flip", flip, "probability of a horizontal flip", {.min = 0, .max = 1});
    f.add("randaugment", randaugment, "RandAugment");
    f.add("erase", erase, "random erasing");
    f.add("mix", mix, "mixup and CutMix");
    f.add("mean", mean, "per channel, of values in [0, 1]; empty: the dataset's");
    f.add("stddev", stddev, "per channel; empty: the dataset's", {.min = 0, .open_min = true});
  }
};

// How a Loader (loader.h) makes batches.
struct LoaderOptions {
  int64_t batch_size = 128;
  int64_t workers = 2;
  int64_t prefetch = 4;
  bool shuffle = false;
  bool drop_last = false;
  bool channels_last = false;
  bool skip_corrupt = false;

  void fields(Fields& f) {
    f.add("batch_size", batch_size, "images in a batch", {.min = 1, .max = 1 << 20});
    f.add("workers", workers, "threads that prepare batches; 0: the calling thread",
          {.min = 0, .max = 256});
    f.add("prefetch", prefetch, "batches made ahead", {.min = 1, .max = 1024});
    f.add("shuffle", shuffle, "another order in every epoch");
    f.add("drop_last", drop_last, "leave out a last batch that is not full");
    f.add("channels_last", channels_last, "store a pixel's channels side by side");
    f.add("skip_corrupt", skip_corrupt, "leave out images that cannot be decoded, and count them");
  }
};

// What a dataset recommends for the members left open above.
struct TransformDefaults {
  CropKind crop = CropKind::none;  // of training images
  int64_t size = 0;                // 0: the images' own
  int64_t resize = 0;  // shorter side before the center crop of test images; 0: no resizing
  int64_t pad = 0;
  double flip = 0;
};

}  // namespace residua
