#include "residua/data/transform.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "residua/data/erase.h"
#include "residua/data/randaugment.h"

namespace residua {

// What becomes of one picture: `frame` of it is resized (or not), then output pixel (y, x) is pixel
// (y + row_shift, x + column_shift) of that, black where there is none.
struct Pipeline::Geometry {
  CropBox frame;
  bool resizes = false;
  Resize resize = {};  // of the frame
  int64_t row_shift = 0, column_shift = 0;
  bool flip = false;

  CropBox needed() const {
    if (!resizes) return frame;
    const CropBox inner = resize.source();
    return {frame.top + inner.top, frame.left + inner.left, inner.height, inner.width};
  }
};

namespace {

[[noreturn]] void bad_transform(const std::string& option, std::string rule, std::string expected,
                                std::string received) {
  throw Error(ErrorKind::invalid_argument, {.where = "augment." + option,
                                            .rule = std::move(rule),
                                            .expected = std::move(expected),
                                            .received = std::move(received)});
}

void normalise_image(const Image& image, int64_t row_shift, int64_t column_shift, bool flip,
                     std::span<const std::array<float, 256>> tables, int64_t height, int64_t width,
                     PixelLayout layout, float* out) {
  const int64_t channels = image.channels;
  const bool planar = layout == PixelLayout::channels_first;
  const int64_t out_step = planar ? 1 : channels, in_step = flip ? -channels : channels;
  // Columns of the output that lie in the image; flipped, column x shows column width - 1 - x.
  int64_t begin = std::clamp<int64_t>(-column_shift, 0, width);
  int64_t end = std::clamp<int64_t>(image.width - column_shift, begin, width);
  int64_t first_in = begin + column_shift;
  if (flip) {
    std::tie(begin, end) = std::pair(width - end, width - begin);
    first_in = width - 1 - begin + column_shift;
  }
  for (int64_t y = 0; y < height; ++y) {
    const int64_t in_y = y + row_shift;
    const bool inside = in_y >= 0 && in_y < image.height && begin < end;
    for (int64_t c = 0; c < channels; ++c) {
      const float* table = tables[c].data();
      float* to = planar ? out + (c * height + y) * width : out + y * width * channels + c;
      int64_t x = 0;
      const int64_t from = inside ? begin : width, until = inside ? end : width;
      for (; x < from; ++x) to[x * out_step] = table[0];
      if (inside) {
        const uint8_t* pixel = image.pixels.data() + (in_y * image.width + first_in) * channels + c;
        for (; x < until; ++x, pixel += in_step) to[x * out_step] = table[*pixel];
      }
      for (; x < width; ++x) to[x * out_step] = table[0];
    }
  }
}

// The same geometry in bytes, for what works on whole images afterwards.
void place_image(const Image& image, int64_t row_shift, int64_t column_shift, bool flip,
                 int64_t height, int64_t width, Image& out) {
  const int64_t channels = image.channels;
  out.height = height;
  out.width = width;
  out.channels = channels;
  out.pixels.assign(height * width * channels, 0);
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const int64_t in_y = y + row_shift, in_x = (flip ? width - 1 - x : x) + column_shift;
      if (in_y < 0 || in_y >= image.height || in_x < 0 || in_x >= image.width) continue;
      std::memcpy(&out.pixels[(y * width + x) * channels],
                  &image.pixels[(in_y * image.width + in_x) * channels], channels);
    }
}

void convert_channels(Image& image, int64_t channels) {
  if (image.channels == channels) return;
  if (channels == 3) image = to_rgb(image);
  if (channels == 1) image = to_grey(image);
}

int64_t rounded(double value) { return static_cast<int64_t>(std::nearbyint(value)); }

}  // namespace

CropBox random_resized_crop(int64_t height, int64_t width, double min_scale, double max_scale,
                            double min_ratio, Random& random) {
  const auto h = static_cast<double>(height), w = static_cast<double>(width);
  const double log_ratio = std::log(min_ratio);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double area = h * w * random.uniform(min_scale, max_scale);
    const double ratio = std::exp(random.uniform(log_ratio, -log_ratio));
    const int64_t crop_width = rounded(std::sqrt(area * ratio)),
                  crop_height = rounded(std::sqrt(area / ratio));
    if (crop_width <= 0 || crop_width > width || crop_height <= 0 || crop_height > height) continue;
    const int64_t top = random.integer(0, height - crop_height + 1);
    return {top, random.integer(0, width - crop_width + 1), crop_height, crop_width};
  }
  int64_t crop_height = height, crop_width = width;
  if (w / h < min_ratio) crop_height = std::clamp<int64_t>(rounded(w / min_ratio), 1, height);
  if (w / h > 1 / min_ratio) crop_width = std::clamp<int64_t>(rounded(h / min_ratio), 1, width);
  return {(height - crop_height) / 2, (width - crop_width) / 2, crop_height, crop_width};
}

Pipeline::Pipeline(const DatasetInfo& info, const AugmentOptions& options, Phase phase)
    : channels_(info.channels) {
  crop_ = options.crop == CropKind::automatic ? info.transform.crop : options.crop;
  resolve_size(info, options);
  resolve_normalisation(info, options);
  pad_ = crop_ == CropKind::pad ? options.pad.value_or(info.transform.pad) : 0;
  if (options.pad.value_or(0) > 0 && crop_ != CropKind::pad)
    bad_transform(
        "pad", "is used only by the pad crop", "crop = \"pad\"",
        "crop = \"" + std::string(EnumNames<CropKind>::names[static_cast<int>(crop_)]) + "\"");
  if (options.min_scale > options.max_scale)
    bad_transform("min_scale", "must not be greater than max_scale",
                  fmt::format("at most {}", options.max_scale),
                  fmt::format("{}", options.min_scale));
  if (options.erase.min_area > options.erase.max_area)
    bad_transform("erase.min_area", "must not be greater than erase.max_area",
                  fmt::format("at most {}", options.erase.max_area),
                  fmt::format("{}", options.erase.min_area));
  if (options.randaugment.ops > 0) check_randaugment(options.randaugment, channels_);
  if (phase == Phase::test) {
    if (crop_ == CropKind::random_resized) crop_ = CropKind::center;
    if (crop_ == CropKind::pad) crop_ = CropKind::none;
    pad_ = 0;
    return;
  }
  min_scale_ = options.min_scale;
  max_scale_ = options.max_scale;
  min_ratio_ = options.min_ratio;
  flip_ = options.flip.value_or(info.transform.flip);
  randaugment_ = options.randaugment;
  erase_ = options.erase;
  mix_ = options.mix;
}

void Pipeline::resolve_size(const DatasetInfo& info, const AugmentOptions& options) {
  const int64_t side = options.size.value_or(info.transform.size);
  height_ = side > 0 ? side : info.height;
  width_ = side > 0 ? side : info.width;
  if (height_ == 0)
    bad_transform("size", "is needed, because the images of " + info.name + " differ in size",
                  "a size", "none");
  constexpr double kCropFraction = 0.875;  // 224 of 256
  resize_ = options.resize.value_or(info.transform.resize);
  if (!options.resize && (options.size || resize_ == 0))
    resize_ = rounded(static_cast<double>(std::max(height_, width_)) / kCropFraction);
  if (resize_ < std::max(height_, width_))
    bad_transform("resize", "must not be smaller than the crop",
                  fmt::format("at least {}", std::max(height_, width_)), std::to_string(resize_));
}

void Pipeline::resolve_normalisation(const DatasetInfo& info, const AugmentOptions& options) {
  mean_ = options.mean.empty() ? info.mean : options.mean;
  stddev_ = options.stddev.empty() ? info.stddev : options.stddev;
  const auto check = [&](const char* name, const std::vector<double>& values) {
    if (static_cast<int64_t>(values.size()) != channels_)
      bad_transform(name, "needs one number a channel", std::to_string(channels_),
                    std::to_string(values.size()));
  };
  check("mean", mean_);
  check("stddev", stddev_);
  normalised_.resize(channels_);
  for (int64_t c = 0; c < channels_; ++c)
    for (int value = 0; value < 256; ++value)
      normalised_[c][value] = static_cast<float>((value / 255.0 - mean_[c]) / stddev_[c]);
}

Pipeline::Geometry Pipeline::choose(int64_t height, int64_t width, const Random& random) const {
  Random crop_random = random.split("crop");
  Geometry g{.frame = {0, 0, height, width}};
  g.flip = flip_ > 0 && random.split("flip").bernoulli(flip_);
  if (crop_ == CropKind::random_resized) {
    g.frame = random_resized_crop(height, width, min_scale_, max_scale_, min_ratio_, crop_random);
    g.resizes = true;
    g.resize = {g.frame.height, g.frame.width, height_, width_, {0, 0, height_, width_}};
  } else if (crop_ == CropKind::center) {
    g.resizes = true;
    g.resize = center_resize(height, width, resize_, height_, width_);
  } else {
    g.resizes = height != height_ || width != width_;
    if (g.resizes) g.resize = {height, width, height_, width_, {0, 0, height_, width_}};
    if (pad_ > 0) {
      g.row_shift = crop_random.integer(0, 2 * pad_ + 1) - pad_;
      g.column_shift = crop_random.integer(0, 2 * pad_ + 1) - pad_;
    }
  }
  return g;
}

void Pipeline::finish(const Geometry& geometry, const Random& random, std::span<float> out,
                      PixelLayout layout, Scratch& scratch) const {
  PartialSample& sample = scratch.sample;
  convert_channels(sample.image, channels_);
  if (sample.image.channels != channels_)
    throw Error(ErrorKind::shape, {.where = "image",
                                   .rule = "has another number of channels",
                                   .expected = std::to_string(channels_),
                                   .received = std::to_string(sample.image.channels)});
  const Image* image = &sample.image;
  int64_t row_shift = geometry.row_shift, column_shift = geometry.column_shift;
  bool flip = geometry.flip;
  if (geometry.resizes) {
    resample(sample.image, sample.top - geometry.frame.top, sample.left - geometry.frame.left,
             geometry.resize, scratch.work, scratch.resample);
    image = &scratch.work;
  }
  if (randaugment_.ops > 0) {
    place_image(*image, row_shift, column_shift, flip, height_, width_, scratch.other);
    Random draws = random.split("randaugment");
    randaugment(randaugment_, draws, scratch.other, scratch.work);
    image = &scratch.other;
    row_shift = column_shift = 0;
    flip = false;
  }
  normalise_image(*image, row_shift, column_shift, flip, normalised_, height_, width_, layout,
                  out.data());
  if (erase_.probability > 0) {
    Random draws = random.split("erase");
    random_erase(erase_, draws, channels_, height_, width_, layout == PixelLayout::channels_last,
                 out);
  }
}

int64_t Pipeline::load(const Dataset& dataset, int64_t index, const Random& random,
                       std::span<float> out, PixelLayout layout, Scratch& scratch) const {
  Geometry geometry;
  const auto choose_region = [&](int64_t height, int64_t width) {
    geometry = choose(height, width, random);
    return geometry.needed();
  };
  dataset.load(index, std::ref(choose_region), scratch.sample);
  finish(geometry, random, out, layout, scratch);
  return scratch.sample.label;
}

void Pipeline::apply(const Image& image, const Random& random, std::span<float> out,
                     PixelLayout layout, Scratch& scratch) const {
  PartialSample& sample = scratch.sample;
  sample.image.height = image.height;
  sample.image.width = image.width;
  sample.image.channels = image.channels;
  sample.image.pixels.assign(image.pixels.begin(), image.pixels.end());
  sample.top = sample.left = 0;
  finish(choose(image.height, image.width, random), random, out, layout, scratch);
}

}  // namespace residua
